"""Inputs of layers: their features, and which of their positions count."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.where import counted


def over_features(
    layer: str, x: jax.Array, features: int, mask: jax.Array | None
) -> jax.Array | None:
    """The mask of a layer, ready to be combined with its input.

    Args:
      layer: name of the layer, for the message.
      x: the input, ``(..., features)``.
      features: size of its last axis.
      mask: nonzero where a position counts, of the first axes of ``x`` without the
        features: ``(B,)`` for images that are padding, ``(B, T)`` for tokens; or None.

    Returns:
      The mask as booleans with as many axes as ``x``, sizes 1 where it says nothing;
      None if there is none.

    Raises:
      InputError: ``x`` is not floating, has other features, or the mask does not fit.

    >>> over_features("norm", jnp.ones((2, 3, 4)), 4, jnp.array([1, 0])).shape
    (2, 1, 1)
    """
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise InputError(f"{layer} takes real floating inputs; got {x.dtype}")
    if x.ndim < 2 or x.shape[-1] != features:
        raise InputError(
            f"{layer} takes inputs of shape (..., {features}) with at least two axes; "
            f"got {x.shape}"
        )
    if mask is None:
        return None
    leading = x.shape[:-1]
    if mask.ndim < 1 or mask.shape != leading[: mask.ndim]:
        raise InputError(
            f"mask must have the first axes of {leading}, one value for each position; "
            f"got {mask.shape}"
        )
    return counted(mask, x.ndim)


def over_images(
    layer: str,
    x: jax.Array,
    features: int,
    mask: jax.Array | None,
    *,
    what: str = "images",
) -> jax.Array | None:
    """The mask of a layer of images, ready to be combined with its input.

    Args:
      layer: name of the layer, for the message.
      x: the input, ``(B, height, width, features)``.
      features: size of its last axis.
      mask: as of ``over_features``.
      what: the name of such inputs, for the message.

    Returns:
      As ``over_features``.

    Raises:
      InputError: ``x`` has not four axes; or as ``over_features``.

    >>> over_images("conv", jnp.ones((2, 4, 4, 3)), 3, jnp.array([1, 0])).shape
    (2, 1, 1, 1)
    """
    if x.ndim != 4:
        raise InputError(
            f"{layer} takes {what} (B, height, width, {features}); got {x.shape}"
        )
    return over_features(layer, x, features, mask)


def wide_input(
    layer: str, x: jax.Array, features: int, mask: jax.Array | None
) -> tuple[jax.Array, jax.Array | None]:
    """The input of a layer in the type of its sums, with 0 where there is padding.

    Args:
      layer: name of the layer, for the message.
      x: the input, ``(..., features)``.
      features: size of its last axis.
      mask: as of ``over_features``.

    Returns:
      The input, float32 or wider, and the mask as ``over_features`` gives it.

    Raises:
      InputError: as ``over_features``.

    >>> x = jnp.array([[jnp.nan], [2.0]], jnp.bfloat16)
    >>> z, valid = wide_input("norm", x, 1, jnp.array([0, 1]))
    >>> z.ravel().tolist(), z.dtype.name, valid.shape
    ([0.0, 2.0], 'float32', (2, 1))
    """
    valid = over_features(layer, x, features, mask)
    return without_padding(x.astype(accumulation_dtype(x.dtype)), valid), valid


def needed_key(layer: str, setting: str, key: jax.Array | None) -> jax.Array:
    """The key with which a layer draws in training.

    Args:
      layer: name of the layer, for the message.
      setting: the option for which it draws, ``"rate=0.1"``.
      key: as handed to the layer.

    Returns:
      The key.

    Raises:
      InputError: there is none.
    """
    if key is None:
        raise InputError(
            f"{layer} with {setting} draws random numbers; pass key= when train=True"
        )
    return key


def without_padding(x: jax.Array, valid: jax.Array | None) -> jax.Array:
    """The input of a layer with 0 where there is padding.

    Padding may hold anything, and 0 times NaN is NaN in the gradients.

    Args:
      x: the input.
      valid: booleans of ``over_features``, or None.

    Returns:
      As ``x``; ``x`` itself without a mask.

    >>> without_padding(jnp.array([jnp.nan, 2.0]), jnp.array([False, True])).tolist()
    [0.0, 2.0]
    """
    return x if valid is None else jnp.where(valid, x, 0)
