"""Bytes of state and of temporaries, whatever the capacity; what is refused."""

import jax
import jax.numpy as jnp
import pytest

import jaxopt_lab
from experiments.benchmarks import critical_momenta as benchmark
from jaxopt_lab import catalog
from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError

SMALL = 50_000


def compiled(**options):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        tx = jaxopt_lab.adamw_cm(1e-3, **options)
        return benchmark.bytes_a_parameter(benchmark.compiled_step(tx, SMALL))


@pytest.mark.full
@pytest.mark.parametrize("capacity", [5, 20])
@pytest.mark.parametrize(
    "options, state",
    [
        ({}, lambda c: 4 * (c + 1) + 8),
        ({"recompute_sum": True}, lambda c: 4 * (c + 1) + 8),
        ({"buffer_dtype": jnp.bfloat16}, lambda c: 2 * (c + 1) + 12),
        ({"amsgrad": True}, lambda c: 4 * (c + 1) + 12),
    ],
)
def test_bytes_of_a_step(capacity, options, state):
    found = compiled(capacity=capacity, **options)
    assert found["temp"] <= benchmark.TEMP_BAR
    # The keys and the ages of the entries are a few numbers for the whole tree.
    assert state(capacity) <= found["state"] <= state(capacity) + 0.01


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
