"""The buffer against a plain model, its ring, its sums, and changes of capacity."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxopt_lab.transforms.memory import admit, empty, offer, ordering, resize, store
from jaxopt_lab.transforms.memory import buffer as buffer_module
from jaxopt_lab.transforms.memory.ordering import in_order, made_after

PARAMS = {"a": jnp.zeros((2,)), "b": jnp.zeros(())}
KEYS = st.lists(st.integers(0, 6), min_size=1, max_size=12)


class Model:
    """A list of entries, each with its key and age; Python and nothing else."""

    def __init__(self, capacity, decay, policy):
        self.capacity, self.decay, self.policy = capacity, decay, policy
        self.slots = []

    def admit(self, entry, key):
        new = [key, -1, entry]
        if len(self.slots) < self.capacity:
            self.slots.append(new)
        elif self.policy == "fifo":
            self.slots[max(range(len(self.slots)), key=lambda i: self.slots[i][1])] = (
                new
            )
        else:
            lowest = min(range(len(self.slots)), key=lambda i: self.slots[i][0])
            if key > self.slots[lowest][0]:
                self.slots[lowest] = new
        for slot in self.slots:
            slot[0] *= self.decay
            slot[1] += 1

    def resize(self, capacity):
        rank = (lambda s: s[1]) if self.policy == "fifo" else (lambda s: -s[0])
        kept = sorted(self.slots, key=rank)[:capacity]
        self.slots = [s for s in self.slots if any(s is k for k in kept)]
        self.capacity = capacity


def entry_of(t):
    return {"a": jnp.array([t + 1.0, 10.0 * t]), "b": jnp.array(t**2 + 0.5)}


@functools.cache
def jitted(policy, per_leaf, rank, sums, capacity):
    def step(buffer, entry, key, decay):
        if per_leaf:
            key = {"a": key, "b": 6.0 - key}
        return admit(buffer, entry, key, decay=decay, policy=policy, rank=rank)

    start = empty(
        PARAMS, capacity, per_leaf=per_leaf, sums=sums, chosen=rank is not None
    )
    return start, jax.jit(step)


def assert_same(buffer, model, leaf, keys, slot, ages):
    used = len(model.slots)
    assert int(buffer.size) == used
    np.testing.assert_array_equal(keys[:used], [s[0] for s in model.slots])
    np.testing.assert_array_equal(keys[used:], 0)
    np.testing.assert_array_equal(ages[:used], [s[1] for s in model.slots])
    stored = np.asarray(buffer.entries[leaf])
    expected = np.array([s[2][leaf] for s in model.slots])
    np.testing.assert_array_equal(stored[:used], expected)
    np.testing.assert_array_equal(stored[used:], 0)
    assert int(slot) <= used
    if buffer.total is not None:
        np.testing.assert_allclose(buffer.total[leaf], expected.sum(0), rtol=1e-14)


@pytest.mark.full
@pytest.mark.parametrize("policy", ["priority", "fifo"])
@settings(max_examples=40, deadline=None)
@given(
    keys=KEYS,
    capacity=st.sampled_from([1, 3]),
    decay=st.sampled_from([0.0, 0.5, 1.0]),
    per_leaf=st.booleans(),
)
def test_it_is_the_plain_model(policy, keys, capacity, decay, per_leaf):
    buffer, step = jitted(policy, per_leaf, None, "running", capacity)
    leaves = ("a", "b") if per_leaf else ("a",)
    models = {leaf: Model(capacity, decay, policy) for leaf in leaves}
    for t, key in enumerate(keys):
        buffer = step(buffer, entry_of(t), jnp.array(float(key)), jnp.array(decay))
        for leaf, model in models.items():
            model.admit(entry_of(t), float(key) if leaf == "a" else 6.0 - key)
            pick = (lambda tree, leaf=leaf: tree[leaf]) if per_leaf else (lambda x: x)
            ahead = [pick(x) for x in (buffer.keys, buffer.slot, buffer.ages)]
            assert_same(buffer, model, leaf, *ahead)
    assert int(buffer.count) == len(keys)


@pytest.mark.full
@pytest.mark.parametrize("policy", ["priority", "fifo"])
@settings(max_examples=15, deadline=None)
@given(keys=KEYS, capacity=st.sampled_from([1, 2, 5]), more=KEYS)
def test_a_change_of_capacity_keeps_the_top(policy, keys, capacity, more):
    buffer, step = jitted(policy, False, None, "running", 3)
    model = Model(3, 0.5, policy)
    half = jnp.array(0.5)
    for t, key in enumerate(keys):
        buffer = step(buffer, entry_of(t), jnp.array(float(key)), half)
        model.admit(entry_of(t), float(key))
    buffer = resized(capacity, policy)(buffer)
    model.resize(capacity)
    assert_same(buffer, model, "a", buffer.keys, buffer.slot, buffer.ages)
    for t, key in enumerate(more):
        buffer = step(buffer, entry_of(20 + t), jnp.array(float(key)), half)
        model.admit(entry_of(20 + t), float(key))
        assert_same(buffer, model, "a", buffer.keys, buffer.slot, buffer.ages)


def test_a_free_slot_of_a_grown_buffer_is_no_young_entry():
    buffer, step = jitted("fifo", False, None, "running", 3)
    model = Model(3, 0.5, "fifo")
    for t in range(3):
        buffer = step(buffer, entry_of(t), jnp.array(1.0), jnp.array(0.5))
        model.admit(entry_of(t), 1.0)
    for capacity in (5, 2):
        buffer = resize(buffer, capacity, policy="fifo")
        model.resize(capacity)
    assert_same(buffer, model, "a", buffer.keys, buffer.slot, buffer.ages)


@functools.cache
def resized(capacity, policy):
    return jax.jit(lambda b: resize(b, capacity, policy=policy))


@pytest.mark.parametrize("rank", ["min", "median", "max"])
def test_the_chosen_entry_has_its_rank(rank):
    buffer, step = jitted("priority", False, rank, "none", 4)
    assert buffer.total is None and buffer.waiting is None
    model = Model(4, 0.5, "priority")
    for t, key in enumerate([3.0, 5.0, 1.0, 4.0, 9.0, 0.5, 2.0]):
        buffer = step(buffer, entry_of(t), jnp.array(key), jnp.array(0.5))
        model.admit(entry_of(t), key)
        order = sorted(model.slots, key=lambda s: s[0])
        index = {"min": 0, "median": len(order) // 2, "max": -1}[rank]
        chex.assert_trees_all_equal(buffer.chosen, order[index][2])


def test_a_ring_goes_round():
    buffer, step = jitted("fifo", False, None, "running", 3)
    slots = []
    for t in range(7):
        slots.append(int(buffer.slot))
        # The keys fall and rise; a ring does not care.
        key = jnp.array([5.0, 1.0, 9.0][t % 3])
        buffer = step(buffer, entry_of(t), key, jnp.array(0.9))
    assert slots == [0, 1, 2, 0, 1, 2, 0]
    kept = sorted(float(x) for x in buffer.entries["a"][:, 0])
    assert kept == [5.0, 6.0, 7.0]


@pytest.mark.full(plain=["None", "float16"])
@pytest.mark.parametrize("dtype", [None, jnp.bfloat16, jnp.float16])
def test_the_sums_are_those_of_the_entries_in_every_type(dtype):
    params = {"w": jnp.zeros((3,), jnp.float32)}
    buffer = empty(params, 4, dtype=dtype)
    step = jax.jit(lambda b, e, k: admit(b, e, k, decay=0.9))
    draw = np.random.default_rng(0)
    for _ in range(12):
        entry = {"w": jnp.asarray(draw.normal(size=3), jnp.float32)}
        buffer = step(buffer, entry, jnp.float32(draw.uniform()))
        assert buffer.entries["w"].dtype == (dtype or jnp.float32)
        assert buffer.total["w"].dtype == jnp.float32
        wide = np.asarray(buffer.entries["w"], np.float64)
        np.testing.assert_allclose(buffer.total["w"], wide.sum(0), atol=2e-6)


@pytest.mark.parametrize("per_leaf", [False, True])
@pytest.mark.parametrize("policy", ["priority", "fifo"])
def test_an_entry_that_waits_is_stored_as_by_one_call(policy, per_leaf):
    options = {"decay": 0.6, "policy": policy}
    start = functools.partial(empty, PARAMS, 3, per_leaf=per_leaf)
    at_once, in_two = start(), start(waits=True)
    nothing = store(in_two, entry_of(9))
    chex.assert_trees_all_equal(nothing, in_two)
    for t, key in enumerate([3.0, 5.0, 1.0, 0.2, 4.0, 0.1, 2.0]):
        keys = {"a": jnp.array(key), "b": jnp.array(6 - key)} if per_leaf else key
        keys = jax.tree.map(jnp.asarray, keys)
        before = at_once
        at_once = admit(at_once, entry_of(t), keys, **options)
        in_two = offer(in_two, keys, **options)
        chex.assert_trees_all_equal(in_two.entries, before.entries)
        # Fewer or more slots while the entry waits: the same as afterwards.
        if t == 4:
            kept = store(resize(in_two, 2, policy=policy), entry_of(t))
            wanted = resize(at_once, 2, policy=policy)
            chex.assert_trees_all_close(kept._replace(waiting=None), wanted)
        in_two = store(in_two, entry_of(t))
        chex.assert_trees_all_equal(in_two._replace(waiting=None), at_once)


def test_narrow_parameters_have_wide_entries():
    buffer = empty({"w": jnp.zeros(2, jnp.bfloat16)}, 2)
    assert buffer.entries["w"].dtype == jnp.float32
    assert buffer.keys.dtype == jnp.float32


def drift(steps, period, monkeypatch):
    """Error of the running sum over ``steps``, relative to the largest entry."""
    monkeypatch.setattr(buffer_module, "REFRESH", period)
    params = {"w": jnp.zeros((8,), jnp.float32)}

    def body(carry, key):
        buffer, worst = carry
        scale = 10 ** jax.random.uniform(key, (), jnp.float32, -0.5, 0.5)
        entry = {"w": scale * jax.random.normal(key, (8,), jnp.float32)}
        buffer = admit(buffer, entry, scale, decay=0.7)
        wide = buffer.entries["w"].astype(jnp.float64)
        error = jnp.abs(buffer.total["w"] - wide.sum(0)).max()
        return (buffer, jnp.maximum(worst, error / jnp.abs(wide).sum(0).max())), None

    keys = jax.random.split(jax.random.key(0), steps)
    carry = (empty(params, 5), jnp.zeros(()))
    (_, worst), _ = jax.jit(lambda c, k: jax.lax.scan(body, c, k))(carry, keys)
    return float(worst)


@pytest.mark.full
def test_the_running_sum_does_not_drift(monkeypatch):
    steps = 100_000
    refreshed = drift(steps, buffer_module.REFRESH, monkeypatch)
    print(f"drift over {steps} steps: {refreshed:.1e}")
    assert refreshed < 1e-5
    # The bar means something: without fresh sums it is missed.
    assert drift(steps, 10 * steps, monkeypatch) > 1e-5


@pytest.mark.parametrize("sums, chosen", [("running", False), ("none", True)])
@pytest.mark.parametrize("dtype", [None, jnp.bfloat16])
@pytest.mark.parametrize("params", [jnp.float32, jnp.float64, jnp.bfloat16])
def test_types_never_change(sums, chosen, dtype, params):
    tree = {"w": jnp.zeros(2, params)}
    buffer = empty(tree, 2, sums=sums, chosen=chosen, dtype=dtype)
    rank = "max" if chosen else None
    after = jax.eval_shape(
        lambda b: admit(b, tree, jnp.float32(1.0), rank=rank, decay=0.5), buffer
    )
    chex.assert_trees_all_equal_shapes_and_dtypes(buffer, after)
    smaller = jax.eval_shape(lambda b: resize(b, 2, rank=rank), buffer)
    chex.assert_trees_all_equal_shapes_and_dtypes(buffer, smaller)


def test_an_ordered_slot_is_the_same_slot():
    slot = jnp.array(2, jnp.int32)
    for first in (0.0, np.inf, np.nan):
        found = jax.jit(in_order)(slot, jnp.array([first, 1.0]))
        assert int(found) == 2 and found.dtype == slot.dtype
    assert int(in_order(slot, jnp.zeros((0, 3)))) == 2


@pytest.mark.parametrize("devices", [1, 2])
def test_a_slot_is_ordered_on_one_device_alone(devices):
    kind = jax.sharding.AxisType.Auto
    with jax.set_mesh(jax.make_mesh((devices,), ("data",), axis_types=(kind,))):
        made = jax.make_jaxpr(in_order)(jnp.array(2, jnp.int32), jnp.ones(4))
    assert ("min" in str(made)) == (devices == 1)


@pytest.mark.parametrize("dtype", [jnp.float64, jnp.float32, jnp.bfloat16])
def test_arrays_made_after_others_are_the_same(dtype, monkeypatch):
    value = jnp.array([1.5, -0.0, np.inf, np.nan, 0.0, -2.0], dtype)
    before = jnp.array([np.nan, np.nan, np.nan, 1.0, 0.0, np.inf])
    assert made_after(value, before) is value
    monkeypatch.setattr(ordering, "_of_several_devices", lambda _: True)
    found, tangent = jax.jvp(
        lambda x: made_after(x, before), (value,), (jnp.ones_like(value),)
    )
    assert found.dtype == dtype and found.tobytes() == value.tobytes()
    np.testing.assert_array_equal(tangent, np.ones(6))
    made = jax.jit(made_after).lower(value, before).as_text()
    assert "stablehlo.or" in made and "stablehlo.and" in made
    monkeypatch.setattr(ordering, "traced_for", lambda _: "tpu")
    assert made_after(value, before) is value
