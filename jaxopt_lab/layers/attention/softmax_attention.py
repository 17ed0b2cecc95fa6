"""Softmax attention: jax's, with float64 kept."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError


def softmax_attention(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    *,
    causal: bool = False,
    seen: jax.Array | None = None,
) -> jax.Array:
    r"""Attention :math:`\operatorname{softmax}(q k^T / \sqrt d)\, v` of each head.

    ``jax.nn.dot_product_attention`` takes its softmax in float32, whatever the input;
    here that of float64 is float64.

    Args:
      q: queries ``(B, T, heads, d)``.
      k: keys ``(B, S, heads, d)``.
      v: values ``(B, S, heads, d)``.
      causal: a position sees none behind it.
      seen: booleans ``(B or 1, heads or 1, T, S)``, the keys that a query sees;
        ``None``: all. Every query must see one.

    Returns:
      ``(B, T, heads, d)``, type of ``q``; the softmax in float32 for narrower types.

    Raises:
      InputError: ``causal`` and ``seen`` are given together.

    Memory: ``(B, heads, T, S)`` weights.

    >>> x = jnp.ones((1, 3, 1, 2))
    >>> softmax_attention(x, x, x, causal=True).shape
    (1, 3, 1, 2)
    """
    if causal and seen is not None:
        raise InputError("causal=True and seen are given; accepted: one of them")
    if q.dtype != jnp.float64:
        return jax.nn.dot_product_attention(q, k, v, mask=seen, is_causal=causal)
    if causal:
        seen = jnp.tril(jnp.ones((q.shape[1], k.shape[1]), bool))[None, None]
    scores = jnp.einsum("bthd,bshd->bhts", q, k) * q.shape[-1] ** -0.5
    if seen is not None:
        scores = jnp.where(seen, scores, -jnp.inf)
    return jnp.einsum("bhts,bshd->bthd", jax.nn.softmax(scores), v)
