"""Moments after max pooling."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.diagnostics.hardware.moments import Moments


def max_pool_moments(
    image_shape: tuple[int, int, int], *, window: tuple[int, int] = (2, 2)
) -> Callable[[Moments], Moments]:
    r"""Max pooling by the signal of the largest mean in each window.

    .. math:: k_i = \arg\max_{k \in W_i} \mu_k, \quad
        \mu'_i = \mu_{k_i}, \quad \Gamma'_{ij} = \Gamma_{k_i k_j}

    It is good where the noise is small against the gaps between means; else the true
    mean is larger.

    Args:
      image_shape: ``(height, width, channels)`` of the flat signals.
      window: height and width of the windows, side by side.

    Returns:
      A function of moments, for ``memse``; of equal means the first counts.

    Raises:
      InputError: windows do not tile the image; on use, another number of signals.

    >>> from jaxopt_lab.diagnostics.hardware import exact
    >>> pool = max_pool_moments((2, 2, 1))
    >>> pool(exact(jnp.array([1.0, 4.0, 2.0, 3.0]))).mean.tolist()
    [4.0]

    Source: as of ``relu_moments``.
    """
    sizes = (*image_shape, *window)
    if len(image_shape) != 3 or len(window) != 2 or min(sizes) < 1:
        raise InputError(
            "image_shape must be (height, width, channels) and window (height, width), "
            f"of at least 1 each; got {tuple(image_shape)} and {tuple(window)}"
        )
    (height, width, channels), (down, across) = image_shape, window
    if height % down or width % across:
        raise InputError(
            f"windows of {tuple(window)} must tile the image; got {tuple(image_shape)}"
        )
    size = height * width * channels
    places = np.arange(size).reshape(
        height // down, down, width // across, across, channels
    )
    places = places.transpose(0, 2, 4, 1, 3).reshape(-1, down * across)

    def pool(moments: Moments) -> Moments:
        if moments.mean.shape != (size,):
            raise InputError(
                f"max pooling of {tuple(image_shape)} takes {size} signals; got "
                f"{moments.mean.size}"
            )
        largest = jnp.argmax(moments.mean[places], axis=1)
        chosen = jnp.take_along_axis(jnp.asarray(places), largest[:, None], axis=1)
        chosen = chosen[:, 0]
        return Moments(moments.mean[chosen], moments.covariance[chosen][:, chosen])

    return pool
