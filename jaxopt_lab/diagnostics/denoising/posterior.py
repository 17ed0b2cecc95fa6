"""Means of data weighted by how near they are, in blocks of examples."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp


def posterior_mean(
    distances: Callable[[jax.Array], jax.Array],
    data: jax.Array,
    shape: tuple[int, ...],
    scale: jax.Array,
    *,
    block: int,
) -> jax.Array:
    r"""Weighted means :math:`\sum_i w_i x_i`, :math:`w \propto e^{-d_i / s}`.

    Args:
      distances: of some examples, ``(b, P)``, the d of each output and example,
        ``(B, b, P)`` or ``(B, b, 1)``, at least 0.
      data: ``(N, P)``.
      shape: of the outputs, ``(B, P)``.
      scale: s, at least the smallest positive number.
      block: examples at a time.

    Returns:
      ``(B, P)``. Running minimum, sum and weighted sum: whatever the block, the same.

    Memory: ``B * block * P`` numbers, in the gradient too, which computes them again.

    >>> x = jnp.array([[0.0], [1.0], [2.0]])
    >>> posterior_mean(lambda b: 0 * b[None], x, (1, 1), jnp.ones(()), block=2).tolist()
    [[1.0]]
    """
    count = len(data)
    blocks = -(-count // block)
    padded = jnp.pad(data, ((0, blocks * block - count), (0, 0)))
    there = jnp.arange(blocks * block, dtype=jnp.int32) < count

    def add(
        sums: tuple[jax.Array, jax.Array, jax.Array], part: tuple[jax.Array, jax.Array]
    ) -> tuple[tuple[jax.Array, jax.Array, jax.Array], None]:
        least, total, weighted = sums
        rows, counts = part
        d, counts = distances(rows), counts[None, :, None]
        all_d = jnp.where(counts, jax.lax.stop_gradient(d), jnp.inf)
        new = jnp.minimum(least, jnp.min(all_d, axis=1))
        # The first least is infinite: nothing has been added yet. Infinite numbers
        # stay out of the exponents, whose derivatives would be no numbers.
        begun = jnp.isfinite(least)
        fade = jnp.exp(-(jnp.where(begun, least, new) - new) / scale)
        fade = jnp.where(begun, fade, 0)
        w = jnp.exp(-jnp.where(counts, d - new[:, None], 0) / scale)
        w = jnp.where(counts, w, 0)
        total = fade * total + jnp.sum(w, axis=1)
        weighted = fade * weighted + jnp.sum(w * rows[None], axis=1)
        return (new, total, weighted), None

    zeros = jnp.zeros(shape, data.dtype)
    parts = (
        padded.reshape(blocks, block, data.shape[1]),
        there.reshape(blocks, block),
    )
    start = jnp.full(shape, jnp.inf, data.dtype), zeros, zeros
    (_, total, weighted), _ = jax.lax.scan(jax.checkpoint(add), start, parts)
    return weighted / total


def noise_scale(alpha: jax.Array, temperature: jax.Array | float = 1.0) -> jax.Array:
    r"""The scale of squared distances, :math:`2 (1 - a) T`; 0 is the smallest number.

    Args:
      alpha: a.
      temperature: T.

    Returns:
      A scalar above 0.

    >>> noise_scale(jnp.array(0.5)).item()
    1.0
    """
    tiny = jnp.asarray(float(jnp.finfo(alpha.dtype).tiny), alpha.dtype)
    return jnp.maximum(2 * (1 - alpha) * jnp.asarray(temperature, alpha.dtype), tiny)
