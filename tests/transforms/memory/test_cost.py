"""Bytes of state and of temporaries, whatever the capacity; what is refused."""

import re

import jax
import jax.numpy as jnp
import pytest

import jaxopt_lab
from experiments.benchmarks import critical_momenta as benchmark
from jaxopt_lab import catalog
from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError

SMALL = 50_000


def step_of(tx):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        return benchmark.compiled_step(tx, SMALL)


@pytest.mark.full(plain=["bfloat16-20"])
@pytest.mark.parametrize("capacity", [5, 20])
@pytest.mark.parametrize(
    "options, state",
    [
        ({}, lambda c: 4 * (c + 1) + 8),
        ({"recompute_sum": True}, lambda c: 4 * (c + 1) + 8),
        ({"buffer_dtype": jnp.bfloat16}, lambda c: 2 * c + 12),
        ({"amsgrad": True}, lambda c: 4 * (c + 1) + 12),
        ({"priority": "per_leaf"}, lambda c: 4 * (c + 1) + 8),
        ({"policy": "fifo", "buffer_dtype": jnp.float16}, lambda c: 2 * c + 12),
    ],
    ids=["default", "fresh", "bfloat16", "amsgrad", "per_leaf", "float16"],
)
def test_a_step_changes_all_of_its_state_in_place(capacity, options, state):
    step = step_of(jaxopt_lab.adamw_cm(1e-3, capacity=capacity, **options))
    found = benchmark.bytes_a_parameter(step)
    # The sum of entries in float16 is made in a place of its own, a leaf at a time.
    apart = options.get("buffer_dtype") == jnp.float16
    assert found["temp"] <= (1.0 if apart else 0.2)
    # The keys and the ages of the entries are a few numbers for the whole tree.
    keys = 0.1 if options.get("priority") == "per_leaf" else 0.01
    assert state(capacity) <= found["state"] <= state(capacity) + keys
    check_in_place(step, capacity, sums=not apart)


@pytest.mark.full
@pytest.mark.parametrize("dtype", [None, jnp.bfloat16])
@pytest.mark.parametrize(
    "name, options, temp",
    [
        ("sgd_cm", {}, 0),
        ("rmsprop_cm", {}, 4),
        ("rmsprop_cm", {"centered": True}, 4),
        ("rmsprop_cg", {}, 4),
        ("rmsprop_cg", {"momentum": 0.5}, 4),
    ],
)
def test_what_an_optimizer_keeps_beside_its_state(name, options, temp, dtype):
    tx = getattr(jaxopt_lab, name)(1e-3, capacity=7, buffer_dtype=dtype, **options)
    step = step_of(tx)
    assert benchmark.bytes_a_parameter(step)["temp"] <= temp + 0.2
    check_in_place(step, 7)


@pytest.mark.full
@pytest.mark.parametrize("name", ["adam_cg", "sgd_cg"])
@pytest.mark.parametrize("aggregate", ["sum", "max"])
@pytest.mark.parametrize("capacity", [5, 20])
def test_narrow_gradients_are_stored_in_place(name, aggregate, capacity):
    tx = getattr(jaxopt_lab, name)(
        1e-3, capacity=capacity, buffer_dtype=jnp.bfloat16, aggregate=aggregate
    )
    step = step_of(tx)
    # A copy of one sum at a time, of five equal ones.
    assert benchmark.bytes_a_parameter(step)["temp"] <= 4.2
    check_in_place(step, capacity, sums=False)


def check_in_place(step, capacity, sums=True):
    """No copy of the slots or of a sum, no slot widened where one is overwritten."""
    text = step.program.as_text()
    kinds = "" if sums else rf"{capacity},"
    copies = re.findall(rf"= \w+\[{kinds}(?:{capacity},)?1000,10\]\S* copy\(", text)
    assert not copies
    updating = [part for part in text.split("\n\n") if "dynamic-update-slice(" in part]
    assert len(updating) >= 5
    stored = {x.dtype.name for x in jax.tree.leaves(step.args[1]) if x.ndim == 3}
    if stored != {"float32"}:
        assert not any(f"f32[{capacity},1000" in part for part in updating)


@pytest.mark.parametrize("name", ["adam_cm", "adam_cg", "sgd_cg", "rmsprop_cm"])
@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"capacity": -1}, "capacity must be a whole number of at least 0; got -1"),
        ({"capacity": 2.5}, "capacity must be a whole number"),
        ({"priority_decay": 1.5}, r"priority_decay must lie in \[0, 1\]; got 1.5"),
        ({"kappa": -0.1}, "kappa must be at least 0; got -0.1"),
        ({"priority": "globalnorm"}, "unknown priority .*you meant 'global_norm'"),
        ({"policy": "lifo"}, "unknown policy 'lifo'; perhaps you meant 'fifo'"),
        ({"buffer_dtype": jnp.int8}, "buffer_dtype must be a floating type; got int8"),
        ({"learning_rate": -1.0}, "learning_rate must be at least 0; got -1.0"),
    ],
)
def test_bad_options(name, wrong, words):
    with pytest.raises(InputError, match=words):
        getattr(jaxopt_lab, name)(**{"learning_rate": 0.1, **wrong})


@pytest.mark.parametrize(
    "name, wrong, words",
    [
        ("adam_cm", {"b1": 1.0}, r"b1 must lie in \[0, 1\); got 1.0"),
        ("adam_cg", {"b2": -0.1}, r"b2 must lie in \[0, 1\); got -0.1"),
        ("adam_cm", {"eps": -1.0}, "eps must be at least 0; got -1.0"),
        ("adamw_cm", {"weight_decay": -1.0}, "weight_decay must be at least 0"),
        ("sgd_cg", {"weight_decay": -1.0}, "weight_decay must be at least 0"),
        ("sgd_cg", {"aggregate": "meen"}, "unknown aggregate 'meen'"),
        ("sgd_cg", {"momentum": 1.5}, r"momentum must lie in \[0, 1\]; got 1.5"),
        ("sgd_cm", {"momentum": -0.5}, r"momentum must lie in \[0, 1\]; got -0.5"),
        ("rmsprop_cg", {"decay_rate": 2.0}, r"decay_rate must lie in \[0, 1\]"),
    ],
)
def test_bad_numbers(name, wrong, words):
    with pytest.raises(InputError, match=words):
        getattr(jaxopt_lab, name)(0.1, **wrong)


def test_decay_of_weights_without_parameters_is_explained():
    link = jaxopt_lab.critical_gradients(weight_decay=0.1)
    with pytest.raises(InputError, match="weight_decay needs params"):
        link.update(jnp.ones(2), link.init(jnp.ones(2)))


def test_numbers_are_injected_and_options_are_not():
    tx = jaxopt_lab.inject_hyperparams(jaxopt_lab.adamw_cm)(0.1)
    assert sorted(tx.init(jnp.ones(2)).hyperparams) == [
        "b1",
        "b2",
        "eps",
        "kappa",
        "learning_rate",
        "priority_decay",
        "weight_decay",
    ]


@pytest.mark.parametrize(
    "name, options",
    [
        (row.name, options)
        for row in catalog.of_kind("transform").values()
        if row.family == "memory"
        for options in (
            {"capacity": 3},
            {"capacity": 4, "recompute_sum": True},
            {"aggregate": "max-mean"},
            {"aggregate": "median", "recompute_sum": True},
            {"amsgrad": True},
            {"centered": True},
        )
        if options.keys() <= set(row.options)
    ],
)
def test_the_documented_bytes_hold_for_every_option(name, options):
    row = catalog.get(name)
    params = {"w": jax.ShapeDtypeStruct((100, 100), jnp.float32)}
    state = jax.eval_shape(row.make(**options).init, params)
    documented = row.bytes_per_parameter("state", **options)
    assert trees.nbytes(state) / 10_000 == pytest.approx(documented, abs=0.05)
