"""Steps of one kind made from another: decoders take what a model has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import Params
from jaxopt_lab.inference.decoded import ChunkStep, ModelStep


def next_step(step: ChunkStep) -> ModelStep:
    """The step of one token at one position, of a step of chunks.

    Args:
      step: ``step(params, cache, tokens, positions)``, a ``ChunkStep``.

    Returns:
      ``step(params, cache, tokens, position)``, a ``ModelStep``.

    >>> chunk = lambda params, cache, tokens, positions: (tokens[..., None], cache)
    >>> next_step(chunk)((), (), jnp.array([1, 2]), jnp.int32(0))[0].tolist()
    [[1], [2]]
    """

    def model_step(
        params: Params, cache: Any, tokens: jax.Array, position: jax.Array, /
    ) -> tuple[jax.Array, Any]:
        positions = jnp.broadcast_to(position, tokens.shape)
        logits, cache = step(params, cache, tokens[:, None], positions)
        return logits[:, 0], cache

    return model_step


def uncached_step(apply: Callable[[Params, jax.Array], jax.Array]) -> ChunkStep:
    """The step of chunks of a model without a cache, which is called on whole rows.

    The cache is the tokens, int32 ``(B, L)`` zeros at the start, and every call costs
    one of the model on all L columns. It suits any model in which a token does not see
    later ones, whatever it is made of.

    Args:
      apply: ``apply(params, tokens (B, L)) -> logits (B, L, V)``.

    Returns:
      A ``ChunkStep``. Logits of tokens beyond the last column are NaN, which a decoder
      shows as -1; a chunk of more than L tokens is an ``InputError``.

    >>> step = uncached_step(lambda p, tokens: jnp.cumsum(tokens, axis=1)[..., None])
    >>> cache = jnp.zeros((1, 4), jnp.int32)
    >>> _, cache = step((), cache, jnp.array([[3, 2]]), jnp.array([0]))
    >>> step((), cache, jnp.array([[5, 0]]), jnp.array([2]))[0].tolist()
    [[[10], [10]]]
    """

    def chunk_step(
        params: Params, cache: Any, tokens: jax.Array, positions: jax.Array, /
    ) -> tuple[jax.Array, Any]:
        rows, length = cache.shape
        if tokens.shape[1] > length:
            raise InputError(
                f"a cache of {length} columns is too short for {tokens.shape[1]} tokens"
            )
        places = places_of(tokens, positions)
        row = jnp.arange(rows, dtype=jnp.int32)[:, None]
        cache = cache.at[row, places].set(tokens.astype(cache.dtype), mode="drop")
        logits = apply(params, cache)[row, jnp.minimum(places, length - 1)]
        if not jnp.issubdtype(logits.dtype, jnp.inexact):
            return logits, cache
        return jnp.where(places[..., None] < length, logits, jnp.nan), cache

    return chunk_step


def places_of(tokens: jax.Array, positions: jax.Array) -> jax.Array:
    """The position of every token of a chunk, int32 ``(B, n)``.

    >>> places_of(jnp.zeros((2, 3)), jnp.array([0, 5])).tolist()
    [[0, 1, 2], [5, 6, 7]]
    """
    offset = jnp.arange(tokens.shape[1], dtype=jnp.int32)
    return positions.astype(jnp.int32)[:, None] + offset[None]
