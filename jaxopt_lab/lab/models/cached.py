"""Attention of a chunk of tokens over cached keys and values."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.inference.model_steps import places_of
from jaxopt_lab.lab.models.configs import TransformerConfig
from jaxopt_lab.layers.attention.softmax_attention import softmax_attention

Cache: TypeAlias = tuple[tuple[jax.Array, jax.Array], ...]


class Chunk(NamedTuple):
    """The input of a model that continues rows, in place of whole rows.

    Attributes:
      tokens: integers ``(B, n)``.
      positions: int32 ``(B,)``, that of the first token of each row.
      cache: keys and values of each block, ``(B, L, heads, d)``. The model gives the
        logits and a cache with those of the tokens.
    """

    tokens: jax.Array
    positions: jax.Array
    cache: Cache


class Embed(NamedTuple):
    """The input of a model's embedding alone: the model gives ``(B, n, width)``.

    Attributes:
      tokens: integers ``(B, n)``.
      positions: int32 ``(B,)``, that of the first token of each row.
    """

    tokens: jax.Array
    positions: jax.Array


class OneBlock(NamedTuple):
    """The input of one block: the model gives its output and cache.

    Attributes:
      index: of the block.
      x: ``(B, n, width)``.
      positions: int32 ``(B,)``, that of the first token of each row.
      cache: keys and values of the block.
    """

    index: int
    x: jax.Array
    positions: jax.Array
    cache: tuple[jax.Array, jax.Array]


class Head(NamedTuple):
    """The input of the last norm and the head: the model gives logits.

    Attributes:
      x: ``(B, n, width)``.
    """

    x: jax.Array


Part: TypeAlias = Chunk | Embed | OneBlock | Head
"""What a model takes in place of whole rows."""


def empty_cache(config: TransformerConfig, rows: int, length: int) -> Cache:
    """The cache before the first token.

    Args:
      config: of the model.
      rows: B.
      length: L, the positions that it holds.

    Returns:
      Zeros in the type of the parameters: ``2 * depth * B * L * width`` numbers.
    """
    shape = (rows, length, config.heads, config.width // config.heads)
    dtype = jnp.float64 if config.dtype == "float64" else jnp.float32
    zeros = jnp.zeros(shape, dtype)
    return ((zeros, zeros),) * config.depth


def of_heads(qkv: jax.Array, heads: int) -> list[jax.Array]:
    """Queries, keys and values ``(B, T, heads, d)``, side by side in ``qkv``."""
    batch, length, width = qkv.shape
    shape = (batch, length, heads, width // (3 * heads))
    return [part.reshape(shape) for part in jnp.split(qkv, 3, axis=-1)]


def cached_attention(
    qkv: jax.Array, heads: int, positions: jax.Array, cache: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    """Causal attention of a chunk over what the cache holds and the chunk itself.

    Args:
      qkv: queries, keys and values of the chunk side by side, ``(B, n, 3 * width)``.
      heads: number of heads.
      positions: int32 ``(B,)``, that of the first token of each row.
      cache: keys and values of the block.

    Returns:
      ``((B, n, width), cache)``. Entries beyond the cache are dropped, and the results
      there are NaN, which a decoder shows as -1.

    Raises:
      InputError: the chunk is longer than the cache.
    """
    length = cache[0].shape[1]
    if qkv.shape[1] > length:
        raise InputError(
            f"a cache of {length} positions is too short for {qkv.shape[1]} tokens"
        )
    q, *new = of_heads(qkv, heads)
    places = places_of(qkv, positions)
    row = jnp.arange(len(qkv), dtype=jnp.int32)[:, None]
    keys, values = (
        held.at[row, places].set(x.astype(held.dtype), mode="drop")
        for held, x in zip(cache, new, strict=True)
    )
    column = jnp.arange(length, dtype=jnp.int32)
    seen = column[None, None, None] <= places[:, None, :, None]
    narrow: Any = (x.astype(q.dtype) for x in (keys, values))
    y = softmax_attention(q, *narrow, seen=seen)
    y = jnp.where(places[..., None, None] < length, y, jnp.nan)
    return y.reshape(*y.shape[:2], -1), (keys, values)
