"""Hyper-parameters are found wherever a state keeps them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxopt_lab
from jaxopt_lab.training.hyperparams import hyperparams

PARAMS = {"w": jnp.ones(3), "bias": jnp.ones(2)}


def floats(found):
    return {name: float(value) for name, value in found.items()}


def test_nothing_injected_nothing_found():
    assert hyperparams(optax.adam(0.1).init(PARAMS)) == {}


def test_a_chain_of_different_ones_needs_no_places():
    tx = optax.chain(
        jaxopt_lab.inject_hyperparams(jaxopt_lab.sam)(0.25),
        optax.clip_by_global_norm(1.0),
        jaxopt_lab.inject_hyperparams(optax.sgd)(0.5, momentum=0.75),
    )
    found = floats(hyperparams(tx.init(PARAMS)))
    assert found == {"rho": 0.25, "learning_rate": 0.5, "momentum": 0.75}


def test_equal_names_get_their_places():
    one = optax.inject_hyperparams(optax.sgd)
    tx = optax.chain(
        optax.partition(
            {"matrix": one(0.5), "bias": one(0.25)},
            {"w": "matrix", "bias": "bias"},
        ),
        one(0.125),
        optax.inject_hyperparams(optax.trace)(decay=0.75),
    )
    assert floats(hyperparams(tx.init(PARAMS))) == {
        "0/bias/learning_rate": 0.25,
        "0/matrix/learning_rate": 0.5,
        "1/learning_rate": 0.125,
        "decay": 0.75,
    }


def test_injected_inside_injected():
    def outer(learning_rate, decay):
        inner = optax.inject_hyperparams(optax.trace)(decay=decay)
        return optax.chain(inner, optax.scale(learning_rate))

    static = ("decay",)
    tx = optax.inject_hyperparams(outer, static_args=static)(0.5, decay=0.25)
    assert floats(hyperparams(tx.init(PARAMS))) == {
        "learning_rate": 0.5,
        "decay": 0.25,
    }
    tx = optax.inject_hyperparams(lambda decay: outer(1.0, 0.25))(decay=0.75)
    state = tx.init(PARAMS)
    found = floats(hyperparams(state))
    assert found == {"decay": 0.75, "0/decay": 0.25}


def test_a_name_left_twice_at_one_place_is_written_in_full():
    one = optax.inject_hyperparams(lambda learning_rate: optax.identity())
    tx = optax.inject_hyperparams(lambda learning_rate: one(0.25))(learning_rate=0.5)
    assert floats(hyperparams(tx.init(PARAMS))) == {
        "learning_rate": 0.5,
        "inner_state/learning_rate": 0.25,
    }


def test_a_schedule_shows_the_value_of_the_step_just_taken():
    tx = optax.inject_hyperparams(optax.sgd)(optax.linear_schedule(1.0, 0.0, 4))
    state = tx.init(PARAMS)
    seen = []
    for _ in range(3):
        _, state = tx.update(PARAMS, state, PARAMS)
        seen.append(float(hyperparams(state)["learning_rate"]))
    assert seen == [1.0, 0.75, 0.5]


def test_stacked_seeds_keep_their_axis():
    def init(rate):
        return optax.inject_hyperparams(optax.sgd)(rate).init(PARAMS)

    found = hyperparams(jax.vmap(init)(jnp.array([0.5, 0.25])))
    np.testing.assert_array_equal(found["learning_rate"], [0.5, 0.25])
