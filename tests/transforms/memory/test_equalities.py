"""What a memory of nothing is, and what a buffer that never changes gives."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import replay, vectors

import jaxopt_lab

RATE = 0.01
CASE = vectors.load("adam_cm", "default")
RMSPROP = optax.rmsprop(RATE, decay=0.99, eps=1e-8, eps_in_sqrt=False)
PLAIN = {
    "adam_cm": optax.adam(RATE),
    "adamw_cm": optax.adamw(RATE, weight_decay=0.1),
    "adam_cg": optax.adam(RATE),
    "sgd_cg": optax.sgd(RATE, momentum=0.9),
    "rmsprop_cg": RMSPROP,
    "sgd_cm": optax.sgd(RATE, momentum=0.5),
    "rmsprop_cm": RMSPROP,
}
OPTIONS = {
    "adamw_cm": {"weight_decay": 0.1},
    "sgd_cg": {"momentum": 0.9},
    "rmsprop_cm": {"momentum": 0.0},
}
AGGREGATES = ["mid", "mean", "min", "median-mean", "max", "replace"]


def make(name, **options):
    return getattr(jaxopt_lab, name)(RATE, **OPTIONS.get(name, {}), **options)


def after(tx, steps=12):
    params = vectors.cast(CASE.init, jnp.float64)
    state = tx.init(params)
    grads = replay.recorded_gradients(CASE)[:steps]
    stacked = jax.tree.map(lambda *g: jnp.stack(g), *grads)

    def step(carry, g):
        params, state = carry
        updates, state = tx.update(g, state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    return jax.jit(lambda c: jax.lax.scan(step, c, stacked)[1])((params, state))


@pytest.mark.full
@pytest.mark.parametrize("name", PLAIN)
def test_without_a_memory_it_is_the_plain_optimizer(name):
    expected = after(PLAIN[name])
    for options in (
        {"capacity": 0},
        {"kappa": 0.0},
        {"kappa": lambda count: 0 * count},
    ):
        got = after(make(name, **options))
        chex.assert_trees_all_close(got, expected, rtol=0, atol=1e-14)


@pytest.mark.full(plain=["min"])
@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_at_kappa_zero_every_aggregate_is_the_gradient(aggregate):
    got = after(make("sgd_cg", kappa=jnp.array(0.0), aggregate=aggregate))
    chex.assert_trees_all_equal(got, after(PLAIN["sgd_cg"]))


def test_without_a_memory_there_is_no_state_for_it():
    params = {"w": jnp.ones((4, 2), jnp.float32)}
    for name in PLAIN:
        ours = jax.tree.leaves(jax.eval_shape(make(name, capacity=0).init, params))
        large = [x for x in ours if x.ndim]
        theirs = jax.tree.leaves(jax.eval_shape(PLAIN[name].init, params))
        extra = 1 if name == "rmsprop_cm" else 0  # the trace, with a decay of 0
        assert len(large) == len([x for x in theirs if x.ndim]) + extra, name


@pytest.mark.full(plain=["sgd_cm"])
@pytest.mark.parametrize("name", ["adam_cm", "sgd_cm", "adam_cg"])
def test_a_capacity_of_zero_differs_from_one_of_one(name):
    a, b = (after(make(name, capacity=c)) for c in (0, 1))
    assert vectors.max_error(a, b) > 1e-4


@pytest.mark.full
def test_the_clean_first_step_is_one_of_adam():
    ours = after(make("adam_cm", clean_first_step=True), steps=2)
    adam = after(PLAIN["adam_cm"], steps=2)
    take = lambda tree, t: jax.tree.map(lambda x: x[t], tree)
    chex.assert_trees_all_close(take(ours, 0), take(adam, 0), rtol=0, atol=1e-15)
    assert vectors.max_error(take(ours, 1), take(adam, 1)) > 1e-4
    still = take(after(make("adam_cm"), steps=1), 0)
    chex.assert_trees_all_equal(still, vectors.cast(CASE.init, jnp.float64))


@pytest.mark.full(
    plain=[
        "False-max",
        "False-median",
        "True-replace",
        "True-max",
        "True-median",
        "True-min",
    ]
)
@pytest.mark.parametrize("aggregate", ["replace", "max", "median", "min"])
@pytest.mark.parametrize("fresh", [False, True])
def test_keys_that_do_not_rise_leave_the_aggregate_constant(aggregate, fresh):
    # Without decay a full buffer takes strictly higher keys only.
    link = jaxopt_lab.critical_gradients(
        capacity=3, priority_decay=1.0, aggregate=aggregate, recompute_sum=fresh
    )
    update = jax.jit(link.update)
    state, draw, seen = link.init(jnp.zeros(4)), np.random.default_rng(1), []
    for t in range(12):
        # Norms of exactly 5, 2.5 and 1.25: equal keys as well as falling ones.
        g = draw.permutation([3.0, 4.0, 0.0, 0.0]) * draw.choice([-1, 1], 4)
        g = jnp.asarray(g) / 2 ** (t // 4)
        a, state = update(g, state)
        seen.append(a if aggregate == "replace" else a - g)
    for later in seen[4:]:
        np.testing.assert_allclose(later, seen[3], rtol=0, atol=1e-15)
    if aggregate == "replace":
        assert np.abs(seen[3] - seen[2]).max() > 1e-3


@pytest.mark.full
def test_the_key_decides_what_stays():
    # Two tensors whose norms move against each other, seen by the three keys.
    params = {"a": jnp.zeros(()), "b": jnp.zeros(())}
    steps = [
        (3.0, 3.0),
        (5.0, 0.5),
        (0.2, 4.5),
    ]  # sums 6, 5.5, 4.7; norms 4.2, 5.02, 4.5
    expected = {
        "sum_of_norms": (3.0, 3.0),
        "global_norm": (5.0, 0.5),
        "per_leaf": (5.0, 4.5),
    }
    for key, (a, b) in expected.items():
        link = jaxopt_lab.critical_gradients(
            capacity=1, priority_decay=1.0, priority=key
        )
        state = link.init(params)
        for x, y in steps:
            _, state = link.update({"a": jnp.array(x), "b": jnp.array(y)}, state)
        assert (float(state.buffer.total["a"]), float(state.buffer.total["b"])) == (
            a,
            b,
        )


def test_a_schedule_of_the_keys_decay_counts():
    # Constant decay keeps the old steep gradient; a drop to zero lets it go.
    def kept(decay):
        link = jaxopt_lab.critical_gradients(capacity=1, priority_decay=decay)
        state = link.init(jnp.zeros(()))
        for g in (4.0, 1.0, 1.0):
            _, state = link.update(jnp.array(g), state)
        return float(state.buffer.total)

    assert kept(0.9) == kept(lambda count: 0.9) == 4.0
    assert kept(lambda count: jnp.where(count >= 1, 0.0, 0.9)) == 1.0


@pytest.mark.full
def test_the_decay_of_weights_is_stored_but_not_counted_in_the_key():
    link = jaxopt_lab.critical_gradients(
        capacity=2, priority_decay=1.0, weight_decay=0.5
    )
    params = jnp.array([2.0, 0.0])
    a, state = link.update(jnp.array([0.0, 3.0]), link.init(params), params)
    np.testing.assert_array_equal(a, [1.0, 3.0])
    np.testing.assert_array_equal(state.buffer.entries[0], [1.0, 3.0])
    assert float(state.buffer.keys[0]) == 3.0
    masked = jaxopt_lab.critical_gradients(weight_decay=0.5, mask=False)
    a, _ = masked.update(jnp.array([0.0, 3.0]), masked.init(params), params)
    np.testing.assert_array_equal(a, [0.0, 3.0])


def test_the_average_goes_on_where_the_weight_of_the_buffer_was_zero_at_first():
    def averages(kappa):
        link = jaxopt_lab.scale_by_critical_momenta(b1=0.5, kappa=kappa)
        grad, state, found = jnp.array([4.0, 0.0]), link.init(jnp.zeros(2)), []
        for _ in range(3):
            _, state = link.update(grad, state)
            found.append(state.mu[0] / 4)
        return found

    later = lambda count: jnp.where(count == 0, 0.0, 1.0)
    always = lambda count: jnp.where(count >= 0, 1.0, 0.0)
    # Of a first step that moves nothing the next one takes the average as zero.
    first_moves_nothing = [1.0, 0.5, 0.75]
    assert averages(1.0) == averages(always) == first_moves_nothing
    assert averages(0.0) == averages(later) == [0.5, 0.75, 0.875]
