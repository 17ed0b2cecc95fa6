"""Channels as positions: sub-pixel convolutions and their inverse."""

from __future__ import annotations

import jax

from jaxopt_lab.core.checks import check_integer
from jaxopt_lab.core.errors import InputError


def pixel_shuffle(x: jax.Array, factor: int) -> jax.Array:
    """Images of ``factor`` times the height and width, from their channels.

    Channel ``c * factor^2 + i * factor + j`` becomes channel c at row i and column j of
    each block, as in PyTorch.

    Args:
      x: ``(..., H, W, C * factor^2)``.
      factor: at least 1.

    Returns:
      ``(..., H * factor, W * factor, C)``.

    Raises:
      InputError: the square of the factor does not divide the channels.

    >>> import jax.numpy as jnp
    >>> pixel_shuffle(jnp.arange(4.0).reshape(1, 1, 4), 2)[..., 0].tolist()
    [[0.0, 1.0], [2.0, 3.0]]
    """
    *lead, h, w, channels = x.shape
    check_integer("factor", factor, low=1)
    if channels % (factor * factor):
        raise InputError(
            f"factor^2 must divide the {channels} channels; got factor={factor}"
        )
    c, n = channels // (factor * factor), len(lead)
    x = x.reshape(*lead, h, w, c, factor, factor)
    x = x.transpose(*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return x.reshape(*lead, h * factor, w * factor, c)


def pixel_unshuffle(x: jax.Array, factor: int) -> jax.Array:
    """The inverse of ``pixel_shuffle``.

    Args:
      x: ``(..., H * factor, W * factor, C)``.
      factor: at least 1.

    Returns:
      ``(..., H, W, C * factor^2)``.

    Raises:
      InputError: the factor does not divide height and width.

    >>> import jax.numpy as jnp
    >>> pixel_unshuffle(jnp.arange(4.0).reshape(2, 2, 1), 2).tolist()
    [[[0.0, 1.0, 2.0, 3.0]]]
    """
    *lead, h, w, c = x.shape
    check_integer("factor", factor, low=1)
    if h % factor or w % factor:
        raise InputError(f"factor must divide {h} and {w}; got factor={factor}")
    n = len(lead)
    x = x.reshape(*lead, h // factor, factor, w // factor, factor, c)
    x = x.transpose(*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return x.reshape(*lead, h // factor, w // factor, c * factor * factor)
