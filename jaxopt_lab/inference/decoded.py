"""The contract of a decoder: a model step, and the tokens that a driver makes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax

from jaxopt_lab.core.typing import Params


class ModelStep(Protocol):
    """``model_step(params, cache, tokens, position) -> (logits, cache)``.

    ``tokens`` are the integers ``(B,)`` at ``position``, an int32 scalar that counts
    from 0; ``logits`` are those of the next token, ``(B, V)``. The cache keeps its
    shapes and types.
    """

    def __call__(
        self, params: Params, cache: Any, tokens: jax.Array, position: jax.Array, /
    ) -> tuple[jax.Array, Any]: ...


class MaskedStep(Protocol):
    """``model_step(params, cache, tokens, columns) -> (logits, cache)``.

    A model of masked diffusion: ``tokens`` are the integers ``(B, L)`` of whole rows,
    with a mask token where a token is not known; ``logits`` are those of the tokens at
    the int32 ``columns`` ``(B, S)`` of each row, ``(B, S, V)``. The cache keeps its
    shapes and types.
    """

    def __call__(
        self, params: Params, cache: Any, tokens: jax.Array, columns: jax.Array, /
    ) -> tuple[jax.Array, Any]: ...


class ChunkStep(Protocol):
    """``model_step(params, cache, tokens, positions) -> (logits, cache)``.

    ``tokens`` are the integers ``(B, n)`` of each row from its own int32 position, of
    ``(B,)``, on; ``logits`` are those of the token after each, ``(B, n, V)``. The cache
    is addressed by position: a call writes the entries of its tokens over what was
    there, and a token reads those up to its own alone, so that refused tokens need no
    removal. The cache keeps its shapes and types.
    """

    def __call__(
        self, params: Params, cache: Any, tokens: jax.Array, positions: jax.Array, /
    ) -> tuple[jax.Array, Any]: ...


class LayeredStep(NamedTuple):
    """A model of the next token in parts, whose layers may be skipped.

    Attributes:
      embed: ``embed(params, tokens (B,), position) -> x``, an array of B rows.
      block: ``block(params, layer, x, cache, position) -> (x, cache)``, with the
        ``layer`` an integer of Python and its own cache, whose shapes and types stay.
      head: ``head(params, x) -> logits (B, V)``.
      layers: their number; the cache of the model is a tuple of as many.
    """

    embed: Callable[[Params, jax.Array, jax.Array], jax.Array]
    block: Callable[..., tuple[jax.Array, Any]]
    head: Callable[[Params, jax.Array], jax.Array]
    layers: int


class Decoded(NamedTuple):
    """The result of a decoder.

    Attributes:
      tokens: int32 ``(B, length)``: each row its prompt, then its new tokens, then
        padding. -1 in place of a token whose logits held a NaN, and the row ends.
      steps: int32 scalar, rounds in which new tokens were made.
      calls: int32 scalar, calls of the model, the reading of the prompt included.
      counts: int32 scalars by name, of a decoder that counts more.
    """

    tokens: jax.Array
    steps: jax.Array
    calls: jax.Array
    counts: dict[str, jax.Array] | None = None
