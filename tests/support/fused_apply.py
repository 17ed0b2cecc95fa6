"""Train steps with the fused apply and around it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_lab.training import init_state, make_train_step

START = {
    "w": jnp.asarray(np.random.default_rng(0).normal(size=(32, 64)), jnp.float32),
    "b": jnp.asarray(np.linspace(-1, 1, 37), jnp.float32),
}
BATCH = jnp.asarray(np.random.default_rng(1).normal(size=(8, 32)), jnp.float32)


def loss_fn(params: Any, state: Any, batch: Any, key: Any) -> Any:
    """A loss of a matrix and a vector."""
    del key
    hidden = jnp.sin(batch @ params["w"])
    return jnp.mean(hidden**2) + jnp.mean(jnp.cos(3 * params["b"])), (state, {})


def by_protocol(
    tx: optax.GradientTransformation,
) -> optax.GradientTransformationExtraArgs:
    """The same transformation that is never given a fused apply."""
    full = optax.with_extra_args_support(tx)

    def update(
        updates: Any,
        state: Any,
        params: Any = None,
        *,
        fused_apply: Any = None,
        **extra,
    ) -> Any:
        del fused_apply
        return full.update(updates, state, params, **extra)

    return optax.GradientTransformationExtraArgs(tx.init, update)


def three_steps(tx: optax.GradientTransformation) -> Any:
    """The parameters after three train steps."""
    state = init_state(tx, START, jax.random.key(0))
    step = jax.jit(make_train_step(loss_fn, tx))
    for _ in range(3):
        state, _ = step(state, BATCH)
    return state.params
