"""Weights of examples in every parallel style, a divided state included."""

import chex
import jax
import jax.numpy as jnp
import optax
import pytest

from jaxopt_lab.training import (
    init_state,
    make_mesh,
    make_parallel_step,
    make_train_step,
    state_shardings,
)

W = {"w": jnp.array([0.5, -1.0, 2.0, 0.25])}
BATCH = {
    "x": jnp.linspace(-1, 2, 32).reshape(8, 4),
    # The second device has nothing but padding.
    "mask": jnp.array([1, 1, 0, 0, 1, 0, 1, 1], bool),
}


def loss_fn(params, model_state, b, key):
    rows = jnp.tanh(b["x"] @ params["w"]) - jnp.sum(params["w"] ** 2)
    mean = jnp.sum(jnp.where(b["mask"], rows, 0)) / jnp.sum(b["mask"])
    return mean, (model_state, {"again": mean})


@pytest.mark.full(plain=["jit"])
@pytest.mark.parametrize("name", ["jit", "jit micro", "shard_map", "pmap", "zero"])
def test_it_is_the_step_on_the_whole_batch(name):
    tx = optax.sgd(0.5, momentum=0.9)
    state = init_state(tx, W, jax.random.key(0))
    expected, metrics = jax.jit(make_train_step(loss_fn, tx))(state, BATCH)
    mesh = make_mesh("data:4")
    zero = name == "zero"
    there = state_shardings(state, (), mesh, zero_axis="data" if zero else None)
    style = "shard_map" if zero else name.split()[0]
    micro = 2 if "micro" in name else 1
    step = make_parallel_step(
        loss_fn,
        tx,
        mesh,
        there,
        style=style,
        weights="mask",
        elementwise=zero,
        micro_batches=micro,
        per_device=True,
    )
    run = step if style == "pmap" else jax.jit(step)
    got, told = run(jax.device_put(state, there), BATCH)
    chex.assert_trees_all_close(got.params, expected.params, rtol=1e-10)
    chex.assert_trees_all_close(told, metrics, rtol=1e-10)
