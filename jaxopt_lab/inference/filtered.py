"""Logits of a sampler: divided by a temperature, the improbable tokens left out."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp

from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.options import (
    COUNT_OR_ZERO,
    NON_NEGATIVE,
    SHARE,
    check_arguments,
)
from jaxopt_lab.core.trees import accumulation_dtype


def filtered_logits(
    logits: jax.Array,
    *,
    temperature: Annotated[float | jax.Array, NON_NEGATIVE] = 1.0,
    top_k: Annotated[int, COUNT_OR_ZERO] = 0,
    top_p: Annotated[float | jax.Array, SHARE] = 1.0,
) -> jax.Array:
    r"""Logits whose softmax is the distribution that a sampler draws from.

    .. math:: z_v / T \text{ if } v \in K \cap N, \quad -\infty \text{ else},

    with K the ``top_k`` largest logits, and N the fewest tokens of K, from the largest
    down, whose probabilities within K sum up to ``top_p``. Of equal logits the first
    token counts as larger.

    Args:
      logits: real, ``(..., V)``.
      temperature: :math:`T`; 0: the first largest logit alone. May be traced, as
        ``top_p``.
      top_k: number of tokens; 0: all.
      top_p: probability.

    Returns:
      ``(..., V)``, float32 (float64 for float64), the largest 0; at least one token is
      left. Of logits that hold a NaN all are NaN.

    Raises:
      InputError: an option is out of its range.

    Cost: two sorts of the vocabulary, none where ``top_k`` and ``top_p`` are known to
    leave all tokens.

    >>> logits = jnp.log(jnp.array([0.5, 0.3, 0.15, 0.05]))
    >>> kept = jax.nn.softmax(filtered_logits(logits, top_p=0.7))
    >>> [round(p, 3) for p in kept.tolist()]
    [0.625, 0.375, 0.0, 0.0]
    """
    check_arguments(filtered_logits, locals())
    wide = accumulation_dtype(logits.dtype)
    z = logits.astype(wide)
    count, temperature = z.shape[-1], jnp.asarray(temperature).astype(wide)
    top = jnp.max(z, axis=-1, keepdims=True)
    # Of infinite logits the difference is NaN: equal ones are apart by 0.
    z = jnp.where(z == top, 0, z - top)
    cold = temperature == 0
    # The largest is 0 first: others overflow to -inf, as they should.
    z = z / jnp.where(cold, 1, temperature)
    place = jax.lax.broadcasted_iota(jnp.int32, z.shape, z.ndim - 1)
    if top_k != 0 or known_number(top_p) != 1:
        order = jnp.argsort(z, axis=-1, stable=True, descending=True)
        falling = jnp.take_along_axis(z, order, axis=-1)
        falling = jnp.where(place < (top_k or count), falling, -jnp.inf)
        p = jax.nn.softmax(falling)
        before = jnp.cumsum(p, axis=-1) - p
        # All of them for 1: a rounded sum may reach it early.
        share = jnp.asarray(top_p).astype(wide)
        left = (before < share) | (share >= 1) | (place == 0)
        left = left & (place < (top_k or count))
        rank = jnp.argsort(order, axis=-1)
        z = jnp.where(jnp.take_along_axis(left, rank, axis=-1), z, -jnp.inf)
    first = place == jnp.argmax(z, axis=-1, keepdims=True).astype(jnp.int32)
    z = jnp.where(cold & ~first, -jnp.inf, z)
    return jnp.where(jnp.isnan(top), jnp.nan, z)
