"""Images as the batch of their coarser grids, and the inverse."""

from __future__ import annotations

import jax

from jaxopt_lab.core.errors import InputError


def space_to_batch(x: jax.Array, factor: int) -> jax.Array:
    """The images of every ``factor``-th pixel of an image, as examples.

    Example ``b * factor^2 + i * factor + j`` holds the pixels of image b whose row
    leaves i and whose column leaves j. A network that is applied to them sees pixels
    that are ``factor`` apart as neighbours, between which noise is less correlated.

    Args:
      x: ``(B, H, W, C)``.
      factor: at least 1.

    Returns:
      ``(B * factor^2, H / factor, W / factor, C)``.

    Raises:
      InputError: the factor does not divide height and width.

    >>> import jax.numpy as jnp
    >>> space_to_batch(jnp.arange(8.0).reshape(1, 2, 4, 1), 2)[..., 0].tolist()
    [[[0.0, 2.0]], [[1.0, 3.0]], [[4.0, 6.0]], [[5.0, 7.0]]]
    """
    if x.ndim != 4 or factor < 1 or x.shape[1] % factor or x.shape[2] % factor:
        raise InputError(
            f"factor must divide height and width of images (B, H, W, C); got "
            f"{x.shape} and factor={factor}"
        )
    b, h, w, c = x.shape
    x = x.reshape(b, h // factor, factor, w // factor, factor, c)
    x = x.transpose(0, 2, 4, 1, 3, 5)
    return x.reshape(b * factor * factor, h // factor, w // factor, c)


def batch_to_space(x: jax.Array, factor: int) -> jax.Array:
    """The inverse of ``space_to_batch``.

    Args:
      x: ``(B * factor^2, H, W, C)``.
      factor: at least 1.

    Returns:
      ``(B, H * factor, W * factor, C)``.

    Raises:
      InputError: the square of the factor does not divide the examples.

    >>> import jax.numpy as jnp
    >>> batch_to_space(jnp.arange(4.0).reshape(4, 1, 1, 1), 2)[..., 0].tolist()
    [[[0.0, 1.0], [2.0, 3.0]]]
    """
    if x.ndim != 4 or factor < 1 or x.shape[0] % (factor * factor):
        raise InputError(
            f"factor^2 must divide the examples of images (B, H, W, C); got {x.shape} "
            f"and factor={factor}"
        )
    n, h, w, c = x.shape
    x = x.reshape(n // (factor * factor), factor, factor, h, w, c)
    x = x.transpose(0, 3, 1, 4, 2, 5)
    return x.reshape(n // (factor * factor), h * factor, w * factor, c)
