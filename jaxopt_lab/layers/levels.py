"""Inputs of layers on a pyramid: one array a level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax

from jaxopt_lab.core.errors import InputError, described
from jaxopt_lab.layers.masks import over_features

Levels = Sequence[jax.Array]
"""Arrays ``(B, ..., features)``, the finest level first."""


def checked_levels(
    layer: str, x: Any, features: int, mask: Any
) -> tuple[list[jax.Array], list[jax.Array | None]]:
    """The levels of an input, and which of their positions count.

    Args:
      layer: name of the layer, for the message.
      x: a tuple or list of ``(B, ..., features)``.
      features: size of their last axes.
      mask: of the first axes of every level, ``(B,)`` as a rule; a tuple or list of
        masks, one a level; or None.

    Returns:
      The levels, and for each its mask as of ``over_features``.

    Raises:
      InputError: ``x`` is no sequence of levels, they are of different batches or have
        other features, or there is not one mask a level.

    >>> import jax.numpy as jnp
    >>> x = jnp.ones((2, 4, 3)), jnp.ones((2, 2, 3))
    >>> [valid.shape for valid in checked_levels("norm", x, 3, jnp.array([1, 0]))[1]]
    [(2, 1, 1), (2, 1, 1)]
    """
    if not isinstance(x, tuple | list) or not x:
        raise InputError(
            f"{layer} takes a tuple of levels (B, ..., {features}); got {described(x)}"
        )
    masks = list(mask) if isinstance(mask, tuple | list) else [mask] * len(x)
    if len(masks) != len(x):
        raise InputError(
            f"mask must be one array, or one for each of the {len(x)} levels; got "
            f"{len(masks)} arrays"
        )
    valids = [
        over_features(layer, level, features, own)
        for level, own in zip(x, masks, strict=True)
    ]
    if len({level.shape[0] for level in x}) > 1:
        raise InputError(
            f"the levels of {layer} must be of one batch; got batches of "
            f"{', '.join(str(level.shape[0]) for level in x)}"
        )
    return list(x), valids
