"""Vectors of length 1."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def unit_rows(x: jax.Array) -> jax.Array:
    """Vectors along the last axis over their lengths; zeros stay, with no gradient.

    Args:
      x: ``(..., D)``, real floating.

    Returns:
      The same shape; vectors of any finite size are scaled without overflow.

    >>> unit_rows(jnp.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    size = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=-1, keepdims=True))
    zero = size == 0
    x = x / jnp.where(zero, 1, size)
    square = jnp.sum(x * x, axis=-1, keepdims=True)
    return jnp.where(zero, 0, x / jnp.sqrt(jnp.where(zero, 1, square)))
