"""Mask of attention in which a prefix sees itself as a whole."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, check_arguments


def prefix_causal_mask(
    length: Annotated[int, COUNT], prefix_length: jax.Array | int
) -> jax.Array:
    r"""Positions that a position sees: those before it, and all of the prefix.

    .. math:: \text{seen}_{ij} = (j \le i) \lor (j < p).

    Args:
      length: number of positions.
      prefix_length: p, integers of any shape ``(...)``; 0 is causal attention, and
        ``length`` or more is attention to all.

    Returns:
      Booleans ``(..., length, length)``; with an axis of heads, ``mask[:, None]``, they
      are ``seen`` of ``softmax_attention``.

    Raises:
      InputError: the length is below 1, or the prefix's is no integer.

    Source: Raffel et al., "Exploring the Limits of Transfer Learning with a Unified
    Text-to-Text Transformer", 2020, section 3.2.1.

    >>> prefix_causal_mask(3, 2).astype(int).tolist()
    [[1, 1, 0], [1, 1, 0], [1, 1, 1]]
    """
    check_arguments(prefix_causal_mask, {"length": length})
    prefix = jnp.asarray(prefix_length)
    if not jnp.issubdtype(prefix.dtype, jnp.integer):
        raise InputError(f"prefix_length must be integers; got {prefix.dtype}")
    places = jnp.arange(length, dtype=prefix.dtype)
    earlier = places[None] <= places[:, None]
    ahead = (1,) * prefix.ndim
    within = places.reshape((*ahead, 1, length)) < prefix[..., None, None]
    return earlier.reshape((*ahead, length, length)) | within
