"""Prompts of several lengths, as decoders take them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError


def checked_prompt(prompt: Any, lengths: Any) -> tuple[jax.Array, jax.Array]:
    """A prompt and its lengths as int32, the lengths within 1 and its columns.

    Args:
      prompt: integers ``(B, P)``.
      lengths: integers ``(B,)``, may be traced; ``None``: P.

    Returns:
      ``(prompt, lengths)``.

    Raises:
      InputError: the prompt is no integer matrix with a token, or ``lengths`` do not
        fit.

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
    return prompt.astype(jnp.int32), jnp.clip(lengths.astype(jnp.int32), 1, longest)


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
