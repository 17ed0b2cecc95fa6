"""Prompts of several lengths, as decoders take them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.checks import check_integer, is_integer
from jaxopt_lab.core.errors import InputError, described
from jaxopt_lab.core.known_values import known_values


def checked_prompt(prompt: Any, lengths: Any) -> tuple[jax.Array, jax.Array]:
    """A prompt and its lengths as int32.

    Args:
      prompt: integers ``(B, P)``.
      lengths: integers ``(B,)``, may be traced; ``None``: P.

    Returns:
      ``(prompt, lengths)``; traced lengths are brought between 1 and P.

    Raises:
      InputError: the prompt is no integer matrix with a token, or ``lengths`` do not
        fit; where the values are known, a length that is not between 1 and P, or a
        token that is no index.

    >>> checked_prompt([[1, 2]], None)[1].tolist()
    [2]
    """
    prompt = jnp.asarray(prompt)
    if prompt.ndim != 2 or not jnp.issubdtype(prompt.dtype, jnp.integer):
        raise InputError(
            "prompt must be integers of shape (rows, tokens); got "
            f"{prompt.dtype} of shape {prompt.shape}"
        )
    rows, longest = prompt.shape
    if longest == 0:
        raise InputError("prompt must have at least one token; got none")
    if lengths is None:
        lengths = jnp.full((rows,), longest, jnp.int32)
    lengths = jnp.asarray(lengths)
    if lengths.shape != (rows,) or not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise InputError(
            f"lengths must be integers of shape {(rows,)}; got {lengths.dtype} of "
            f"shape {lengths.shape}"
        )
    _check_values(prompt, lengths)
    return prompt.astype(jnp.int32), jnp.clip(lengths.astype(jnp.int32), 1, longest)


def _check_values(prompt: jax.Array, lengths: jax.Array) -> None:
    sizes, tokens = known_values(lengths), known_values(prompt)
    if sizes is None:
        return
    longest = prompt.shape[1]
    wrong = sizes[(sizes < 1) | (sizes > longest)]
    if wrong.size:
        raise InputError(f"lengths must be from 1 to {longest}; got {wrong[0]}")
    if tokens is None:
        return
    inside = np.arange(longest)[None] < sizes[:, None]
    # One below 0 would be an index from the end of the vocabulary.
    wrong = tokens[inside & ((tokens < 0) | (tokens > np.iinfo(np.int32).max))]
    if wrong.size:
        raise InputError(f"prompt must hold tokens of at least 0; got {wrong[0]}")


def checked_ends(end: Any, pad: Any) -> tuple[jax.Array, jax.Array]:
    """The token that ends a row, and the one behind it, as int32.

    Args:
      end: an integer, may be traced; -1: none.
      pad: an integer of Python or NumPy.

    Returns:
      ``(end, pad)``.

    Raises:
      InputError: one is no whole number.

    >>> [int(x) for x in checked_ends(-1, 0)]
    [-1, 0]
    """
    check_integer("pad", pad)
    if not is_integer(end):
        kind = jnp.result_type(getattr(end, "dtype", float))
        if jnp.ndim(end) != 0 or not jnp.issubdtype(kind, jnp.integer):
            raise InputError(f"end must be a whole number; got {described(end)}")
    return jnp.asarray(end, jnp.int32), jnp.asarray(pad, jnp.int32)


def checked_limits(limits: Any, lengths: jax.Array, total: int) -> jax.Array:
    """The most tokens of each row, its prompt included, as int32.

    Args:
      limits: integers ``(B,)``, may be traced; ``None``: ``total``.
      lengths: of the prompts.
      total: columns of the result.

    Returns:
      The limits, between ``lengths`` and ``total``.

    Raises:
      InputError: they are no integers of the shape of ``lengths``.

    >>> checked_limits(jnp.array([3, 9]), jnp.array([4, 4], jnp.int32), 6).tolist()
    [4, 6]
    """
    if limits is None:
        return jnp.full(lengths.shape, total, jnp.int32)
    limits = jnp.asarray(limits)
    if limits.shape != lengths.shape or not jnp.issubdtype(limits.dtype, jnp.integer):
        raise InputError(
            f"limits must be integers of shape {lengths.shape}; got {limits.dtype} of "
            f"shape {limits.shape}"
        )
    return jnp.clip(limits.astype(jnp.int32), lengths, total)
