"""Agreement of two denoisers."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.diagnostics.denoising.wiener import as_rows


def denoising_agreement(found: jax.Array, wanted: jax.Array) -> jax.Array:
    """Share of the variance of a denoiser's images that another one explains.

    Args:
      found: images of one, ``(B, ...)``.
      wanted: images of the other, such as a network.

    Returns:
      A scalar, the mean over images of one minus the squared error over the variance
      of the image's pixels; at most 1. An image without variance counts as 1 where it
      is found exactly, and as 0 otherwise.

    Raises:
      InputError: the shapes differ.

    >>> x = jnp.array([[0.0, 2.0]])
    >>> denoising_agreement(x, x).item(), denoising_agreement(0 * x + 1, x).item()
    (1.0, 0.0)
    """
    if jnp.shape(found) != jnp.shape(wanted):
        raise InputError(
            f"images of shapes {jnp.shape(found)} and {jnp.shape(wanted)} differ"
        )
    one, other = as_rows("found", found), as_rows("wanted", wanted)
    errors = jnp.sum((one - other) ** 2, axis=1)
    spread = jnp.sum((other - other.mean(axis=1, keepdims=True)) ** 2, axis=1)
    positive = spread > 0
    share = 1 - errors / jnp.where(positive, spread, 1)
    flat = jnp.where(errors > 0, 0, 1).astype(share.dtype)
    return jnp.mean(jnp.where(positive, share, flat))
