"""Norms of a step in its metrics: right, and without effect on the training."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_lab
from jaxopt_lab.training import init_state, make_train_step
from jaxopt_lab.training.step_norms import step_norms

BATCH = np.arange(12.0).reshape(4, 3) / 10
PARAMS = {"w": np.ones((3, 2)), "b": np.full(2, 2.0)}


def loss_fn(params, model_state, batch, key):
    return jnp.mean((jnp.tanh(batch @ params["w"]) + params["b"][None]) ** 2), ({}, {})


def trained(tx, measure, steps):
    state = init_state(tx, PARAMS, jax.random.key(0), {})
    step = jax.jit(make_train_step(loss_fn, tx, measure=measure))
    metrics = {}
    for _ in range(steps):
        state, metrics = step(state, BATCH)
    return state, metrics


def test_they_are_those_of_the_first_gradient_and_the_update():
    tx = optax.chain(jaxopt_lab.sam(0.1), optax.sgd(0.1))
    state, metrics = trained(tx, step_norms, 1)
    plain = jax.grad(lambda p: loss_fn(p, {}, BATCH, None)[0])(PARAMS)
    moved = jax.tree.map(lambda new, old: new - old, state.params, PARAMS)
    np.testing.assert_allclose(metrics["grad_norm"], optax.tree.norm(plain))
    ratio = optax.tree.norm(moved) / optax.global_norm(PARAMS)
    np.testing.assert_allclose(metrics["update_ratio"], ratio)


@pytest.mark.parametrize("method", ["sam", "adamw", "adamw8bit"])
def test_the_trajectory_is_the_same_to_the_last_bit(method):
    made = {
        "sam": lambda: optax.chain(jaxopt_lab.sam(0.1), optax.sgd(0.1, momentum=0.9)),
        "adamw": lambda: optax.adamw(0.1),
        "adamw8bit": lambda: jaxopt_lab.adamw8bit(0.1),
    }[method]
    plain, _ = trained(made(), None, 4)
    measured, metrics = trained(made(), step_norms, 4)
    jax.tree.map(np.testing.assert_array_equal, plain.params, measured.params)
    # Where the parameters are written by the optimizer there is no tree of updates.
    assert ("update_ratio" in metrics) == (method != "adamw8bit")


def test_parameters_of_zeros_have_a_ratio():
    assert float(step_norms(0.0, 1.0, 0.0)["update_ratio"]) == 0
