"""Difference kernels of 3 x 3 convolutions, folded into one kernel (DEConv)."""

from __future__ import annotations

from typing import Annotated, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import NON_NEGATIVE, check_arguments
from jaxopt_lab.core.typing import Scalar

# Each weight's neighbour one step clockwise around the middle, row by row.
_TURNED = np.array([3, 0, 1, 6, 4, 2, 7, 8, 5], np.int32)


def central_difference_kernel(kernel: jax.Array) -> jax.Array:
    """The kernel of differences from the middle pixel.

    Args:
      kernel: ``(3, 3, in, out)``.

    Returns:
      The kernel less its sum in the middle: of the same shape, with the sum 0.

    Raises:
      InputError: the kernel has another shape.

    >>> w = jnp.arange(9.0).reshape(3, 3, 1, 1)
    >>> central_difference_kernel(w)[1, :, 0, 0].tolist()
    [3.0, -32.0, 5.0]
    """
    _check("kernel", kernel, (3, 3))
    return jnp.asarray(kernel).at[1, 1].add(-jnp.sum(kernel, axis=(0, 1)))


def angular_difference_kernel(
    kernel: jax.Array, *, theta: Annotated[Scalar, NON_NEGATIVE] = 1.0
) -> jax.Array:
    r"""The kernel of differences between neighbours around the middle pixel.

    Args:
      kernel: w, ``(3, 3, in, out)``.
      theta: :math:`\theta` in :math:`w - \theta\, \mathrm{turned}(w)`, where each
        weight becomes that one step further around the middle; 0 is the kernel itself.

    Returns:
      Of the same shape, with the sum 0 at theta 1.

    Raises:
      InputError: the kernel has another shape, or theta is negative.

    >>> w = jnp.arange(9.0).reshape(3, 3, 1, 1)
    >>> angular_difference_kernel(w)[0, :, 0, 0].tolist()
    [-3.0, 1.0, 1.0]
    """
    check_arguments(angular_difference_kernel, {"theta": theta})
    _check("kernel", kernel, (3, 3))
    turned = kernel.reshape(9, *kernel.shape[2:])[_TURNED].reshape(kernel.shape)
    return kernel - jnp.asarray(theta, kernel.dtype) * turned


def directional_difference_kernel(
    taps: jax.Array, *, direction: Literal["horizontal", "vertical"]
) -> jax.Array:
    """The kernel of differences between the two sides of the middle, as Sobel's.

    Args:
      taps: ``(3, in, out)``, along the sides.
      direction: ``"horizontal"``: the taps in the first column, their negatives in the
        last one; ``"vertical"``: in the rows.

    Returns:
      ``(3, 3, in, out)``, with the sum 0.

    Raises:
      InputError: the taps have another shape, or the direction is unknown.

    >>> sobel = jnp.array([1.0, 2.0, 1.0]).reshape(3, 1, 1)
    >>> found = directional_difference_kernel(sobel, direction="horizontal")
    >>> found[1, :, 0, 0].tolist()
    [2.0, 0.0, -2.0]
    """
    check_arguments(directional_difference_kernel, {"direction": direction})
    _check("taps", taps, (3,))
    axis = 1 if direction == "horizontal" else 0
    return jnp.stack([taps, jnp.zeros_like(taps), -taps], axis=axis)


def detail_enhanced_kernel(
    vanilla: jax.Array,
    central: jax.Array,
    angular: jax.Array,
    horizontal: jax.Array,
    vertical: jax.Array,
    *,
    theta: Annotated[Scalar, NON_NEGATIVE] = 1.0,
) -> jax.Array:
    """The sum of a plain kernel and four of differences: one convolution does all.

    Args:
      vanilla: ``(3, 3, in, out)``.
      central: of ``central_difference_kernel``.
      angular: of ``angular_difference_kernel``.
      horizontal: taps ``(3, in, out)`` of ``directional_difference_kernel``.
      vertical: taps ``(3, in, out)``.
      theta: of the angular differences.

    Returns:
      ``(3, 3, in, out)``: convolution is linear in the kernel, so that output and
      derivatives are those of the five convolutions. The answer to a constant image is
      that of ``vanilla`` alone, at theta 1.

    Raises:
      InputError: a shape is another.

    Source: Chen, He and Lu, "DEA-Net: Single Image Dehazing Based on Detail-Enhanced
    Convolution and Content-Guided Attention", arXiv:2301.04805. Code read:
    cecret3350/DEA-Net.

    >>> w, taps = jnp.ones((3, 3, 1, 1)), jnp.ones((3, 1, 1))
    >>> float(detail_enhanced_kernel(w, w, w, taps, taps).sum())
    9.0
    """
    _check("vanilla", vanilla, (3, 3))
    return (
        vanilla
        + central_difference_kernel(central)
        + angular_difference_kernel(angular, theta=theta)
        + directional_difference_kernel(horizontal, direction="horizontal")
        + directional_difference_kernel(vertical, direction="vertical")
    )


def _check(name: str, x: jax.Array, sides: tuple[int, ...]) -> None:
    if x.ndim != len(sides) + 2 or x.shape[:-2] != sides:
        expected = ", ".join(map(str, sides))
        raise InputError(f"{name} must be ({expected}, in, out); got {x.shape}")
