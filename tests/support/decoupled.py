"""Decoupled weight decay under a mask, with a schedule of rates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax


def check(
    make: Callable[..., optax.GradientTransformation],
    directions: Callable[[list[Any]], list[Any]],
    gradients: Sequence[jax.Array],
    rtol: float,
) -> None:
    """An optimizer adds its decay to the direction, where the mask says so.

    Args:
      make: ``make(rate, weight_decay=, mask=)`` gives the optimizer.
      directions: its directions without rate and decay, of a list of trees.
      gradients: those of one matrix in each step.
      rtol: relative error of an update.
    """
    one = jnp.ones_like(gradients[0])
    params = {"a": one, "b": 2 * one}
    grads = [{"a": g, "b": -g} for g in gradients]
    mask = {"a": True, "b": False}
    tx = make(lambda count: 0.1 / (1 + count), weight_decay=0.3, mask=mask)
    bare, state, update = directions(grads), tx.init(params), jax.jit(tx.update)
    for t, g in enumerate(grads):
        u, state = update(g, state, params)
        for name, decay in (("a", 0.3), ("b", 0.0)):
            wanted = -(0.1 / (1 + t)) * (bare[t][name] + decay * params[name])
            np.testing.assert_allclose(u[name], wanted, rtol=rtol)
