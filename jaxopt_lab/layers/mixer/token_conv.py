"""Depth-wise convolution over the tokens of a sequence, as a sum of products."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp


def token_conv(v: jax.Array, kernel: jax.Array, causal: bool = False) -> jax.Array:
    r"""Each feature's own convolution over the tokens, with zeros beyond the ends.

    .. math:: y_t = \sum_i k_i\, v_{t + i - m}

    with m of half the width, or, causal, of all earlier tokens of the kernel.

    Args:
      v: ``(B, T, features)``.
      kernel: ``(width, 1, features)``; an odd width if it is not causal.
      causal: tokens see themselves and earlier ones alone.

    Returns:
      As ``v``. A sum of ``width`` products: on CPUs a convolution with a group for each
      feature is many times slower, most of all in a loop. ``v`` alone is kept for the
      gradient.

    >>> v = jnp.array([[[1.0], [2.0], [4.0]]])
    >>> token_conv(v, jnp.array([[[1.0]], [[0.5]], [[0.0]]]))[0, :, 0].tolist()
    [0.5, 2.0, 4.0]
    >>> token_conv(v, jnp.array([[[1.0]], [[0.5]]]), True)[0, :, 0].tolist()
    [0.5, 2.0, 4.0]
    """
    before = kernel.shape[0] - 1 if causal else kernel.shape[0] // 2
    return jax.checkpoint(functools.partial(_sum, before=before))(v, kernel)


def _sum(v: jax.Array, kernel: jax.Array, before: int) -> jax.Array:
    width, length = kernel.shape[0], v.shape[1]
    v = jnp.pad(v, ((0, 0), (before, width - 1 - before), (0, 0)))
    parts = [kernel[i][None] * v[:, i : i + length] for i in range(width)]
    return sum(parts[1:], parts[0])
