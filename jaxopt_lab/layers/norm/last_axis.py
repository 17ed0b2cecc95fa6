"""Statistics over the last axis, and parameters along it."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def normalized(z: jax.Array, eps: float, *, centred: bool) -> jax.Array:
    r"""Each row over the root of its variance, or of its mean square.

    Args:
      z: of the type of the statistics.
      eps: added under the root, above 0.
      centred: subtract the mean of the row first.

    Returns:
      :math:`(z - \mu) / \sqrt{\sigma^2 + \epsilon}`; two arrays of the size of ``z``
      are kept for the gradient.

    >>> normalized(jnp.array([[3.0, 3.0]]), 1e-9, centred=False).round(3).tolist()
    [[1.0, 1.0]]
    """
    if centred:
        z = z - jnp.mean(z, axis=-1, keepdims=True)
    square = jnp.mean(z * z, axis=-1, keepdims=True)
    return z * jax.lax.rsqrt(square + jnp.asarray(eps, z.dtype))


def along(vector: jax.Array, y: jax.Array) -> jax.Array:
    """A parameter of each feature, of the type and number of axes of ``y``.

    Args:
      vector: ``(features,)``.
      y: ``(..., features)``.

    Returns:
      ``(1, ..., 1, features)``.

    >>> along(jnp.ones(3), jnp.ones((2, 4, 3))).shape
    (1, 1, 3)
    """
    return vector.astype(y.dtype).reshape((1,) * (y.ndim - 1) + vector.shape)
