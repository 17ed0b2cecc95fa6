"""Pixels as floating numbers."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError


def to_float(images: jax.Array) -> jax.Array:
    """Pixels as floats: integers are divided by 255, floats are left alone.

    Args:
      images: uint8 or other integers in 0 to 255, floats on any scale, or booleans.

    Returns:
      float32 in 0 to 1 for integers and booleans; ``images`` itself for floats.

    Raises:
      InputError: the pixels are complex.

    >>> to_float(jnp.array([0, 255], jnp.uint8)).tolist()
    [0.0, 1.0]
    """
    images = jnp.asarray(images)
    if jnp.issubdtype(images.dtype, jnp.floating):
        return images
    if jnp.issubdtype(images.dtype, jnp.complexfloating):
        raise InputError(
            f"pixels must be real; got {images.dtype}: pass the real and imaginary "
            "parts as two channels"
        )
    largest = 1 if images.dtype == jnp.bool_ else 255
    return images.astype(jnp.float32) / jnp.float32(largest)
