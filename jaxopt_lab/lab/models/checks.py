"""Checks that the models share: each gives one line naming both numbers."""

from __future__ import annotations

from typing import Any, get_args

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError, unknown


def at_least(model: str, low: int, **values: int) -> None:
    """Raise ``InputError`` for the first of ``values`` that is below ``low``."""
    for name, value in values.items():
        if value < low:
            raise InputError(f"{model}: {name} must be at least {low}; got {value}")


def check_dropout(model: str, rate: float) -> None:
    """Raise ``InputError`` unless ``rate`` is in [0, 1)."""
    if not 0 <= rate < 1:
        raise InputError(f"{model}: dropout must be in [0, 1); got {rate}")


def check_named(model: str, kind: Any, **values: str) -> None:
    """Raise ``InputError`` for the first of ``values`` that is no name of ``kind``."""
    for name, value in values.items():
        if value not in get_args(kind):
            raise unknown(f"{model}: {name}", value, get_args(kind))


def check_groups(model: str, norm: str, groups: int, channels: int) -> None:
    """Raise ``InputError`` unless ``groups`` divides ``channels`` where that counts."""
    if norm not in ("batch", "group"):
        raise InputError(f"{model}: norm must be 'batch' or 'group'; got {norm!r}")
    if norm == "group" and (groups < 1 or channels % groups):
        raise InputError(
            f"{model}: groups={groups} must divide the number of channels, {channels}"
        )


def image_shape(model: str, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """``shape`` as (height, width, channels), or ``InputError``."""
    if len(shape) != 3 or min(shape) < 1:
        raise InputError(
            f"{model} takes images of shape (height, width, channels); got {shape}"
        )
    height, width, channels = shape
    return height, width, channels


def input_shape(model: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """``shape`` of inputs of any kind, or ``InputError``."""
    if not shape or min(shape) < 1:
        raise InputError(f"{model} takes inputs of shape (size, ...); got {shape}")
    return tuple(shape)


def same_inputs(model: str, got: tuple[int, ...], built: tuple[int, ...]) -> None:
    """Raise ``InputError`` unless a batch of shape ``got`` has inputs as ``built``."""
    if got[1:] != built:
        listed = ", ".join(str(size) for size in ("B", *built))
        raise InputError(f"{model} was built for images ({listed}); got {got}")


def same_images(
    model: str, got: tuple[int, ...], built: tuple[int, int, int], any_size: bool
) -> None:
    """Raise ``InputError`` unless a batch of shape ``got`` suits the model.

    Args:
      model: name of the model.
      got: shape of the batch, (B, H, W, C) if all is well.
      built: (H, W, C) that the model was built for.
      any_size: only the channels must agree.
    """
    fits = len(got) == 4 and (got[-1:] == built[-1:] if any_size else got[1:] == built)
    if not fits:
        wanted = ("H", "W", built[-1]) if any_size else built
        listed = ", ".join(str(size) for size in ("B", *wanted))
        raise InputError(f"{model} was built for images ({listed}); got {got}")


def context_length(model: str, shape: tuple[int, ...]) -> int:
    """The ``T`` of a text model's input shape ``(T,)``, or ``InputError``."""
    if len(shape) != 1 or shape[0] < 1:
        raise InputError(f"{model} takes tokens of shape (length,); got {shape}")
    return shape[0]


def is_tokens(model: str, tokens: jax.Array) -> None:
    """Raise ``InputError`` unless a batch is integers of shape (B, T)."""
    if tokens.ndim != 2 or not jnp.issubdtype(tokens.dtype, jnp.integer):
        raise InputError(
            f"{model} takes integer tokens of shape (B, T); "
            f"got {tokens.dtype} of shape {tokens.shape}"
        )
