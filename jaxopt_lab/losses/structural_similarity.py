"""Structural similarity of images (SSIM), and the loss that it is."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import (
    COUNT,
    POSITIVE,
    STATIC,
    check_arguments,
)
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Scalar
from jaxopt_lab.core.where import or_zero
from jaxopt_lab.losses.targets import check_floats, check_shape

K1, K2 = 0.01, 0.03


def ssim(
    a: jax.Array,
    b: jax.Array,
    *,
    window: Annotated[int, COUNT] = 11,
    sd: Annotated[float, POSITIVE, STATIC] = 1.5,
    data_range: Annotated[Scalar, POSITIVE] = 1.0,
    where: jax.Array | None = None,
) -> jax.Array:
    r"""Structural similarity of pairs of images, the mean over their windows.

    .. math::
        \frac{2 \mu_a \mu_b + c_1}{\mu_a^2 + \mu_b^2 + c_1} \cdot
        \frac{2 \sigma_{ab} + c_2}{\sigma_a^2 + \sigma_b^2 + c_2}, \qquad
        c_1 = (0.01 L)^2, \; c_2 = (0.03 L)^2,

    with means and (co)variances of the pixels of a window under a Gaussian weight. It
    is at most 1, which equal images have, symmetric, and the same for both images
    mirrored.

    Args:
      a: images ``(B, H, W)`` or ``(B, H, W, C)``, real; channels count as images.
      b: of the same shape.
      window: side of the window; only windows inside of the image count.
      sd: standard deviation of the Gaussian, in pixels.
      data_range: L, the greatest pixel less the least one that there may be: 1, or 255.
      where: ``(B,)``; 0 drops an example, whose value is 0.

    Returns:
      ``(B,)``, float32 or float64; differentiable in both images, with the derivative 0
      where they are equal.

    Raises:
      InputError: shapes do not belong together, an image is smaller than the window, or
        an option is out of range.

    Variances are those of the weights (no factor n / (n - 1)). Each image is divided by
    its greatest number and shifted to the mean 0 first, which changes nothing but that
    squares neither overflow nor cancel; a constant below the rounding error of the
    squares counts as that error, so that flat windows give no 0 / 0.

    Two products with banded matrices for each of five maps, :math:`5 B C H W (H + W)`
    multiplications, which no convolution in a loop slows down; kept for the gradient:
    about ten arrays of the size of an image.

    Source: Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error
    visibility to structural similarity", 2004.

    >>> x = jnp.linspace(0.0, 1.0, 144).reshape(1, 12, 12)
    >>> ssim(x, x).tolist(), bool(ssim(x, 1 - x)[0] < 0)
    ([1.0], True)
    """
    check_arguments(ssim, {"window": window, "sd": sd, "data_range": data_range})
    check_floats("a", a, 4 if jnp.ndim(a) == 4 else 3)
    check_floats("b", b, jnp.ndim(a))
    check_shape("b", b, jnp.shape(a))
    if min(a.shape[1:3]) < window:
        raise InputError(
            f"images of {a.shape[1]} by {a.shape[2]} have no window of {window} by "
            f"{window}; accepted: window up to {min(a.shape[1:3])}"
        )
    wide = accumulation_dtype(jnp.promote_types(a.dtype, b.dtype))
    if where is not None:
        check_shape("where", where, a.shape[:1])
        a, b = or_zero(a, where), or_zero(b, where)
    a, b = (_planes(x).astype(wide) for x in (a, b))
    span = jnp.asarray(data_range, wide)
    size = jnp.maximum(jnp.max(jnp.abs(a), (1, 2, 3)), jnp.max(jnp.abs(b), (1, 2, 3)))
    size = jax.lax.stop_gradient(jnp.maximum(size, span))[:, None, None, None]
    least = jnp.asarray(jnp.finfo(wide).eps, wide)
    c1, c2 = (
        jnp.maximum((jnp.asarray(k, wide) * (span / size)) ** 2, least)
        for k in (K1, K2)
    )
    found = _compared(a / size, b / size, c1, c2, _gaussian(window, sd))
    value = jnp.mean(found, axis=(1, 2, 3))
    return or_zero(value, where)


def ssim_loss(
    outputs: jax.Array,
    reference: jax.Array,
    *,
    window: Annotated[int, COUNT] = 11,
    sd: Annotated[float, POSITIVE, STATIC] = 1.5,
    data_range: Annotated[Scalar, POSITIVE] = 1.0,
    where: jax.Array | None = None,
) -> jax.Array:
    """One less the structural similarity to a reference, as a loss.

    Args:
      outputs: images ``(B, H, W)`` or ``(B, H, W, C)``.
      reference: of the same shape; not held constant.
      window: side of the window.
      sd: standard deviation of its Gaussian weights, in pixels.
      data_range: the greatest pixel less the least one that there may be.
      where: ``(B,)``; 0 drops an example.

    Returns:
      ``(B,)``, from 0 to 2, float32 or float64; cost and rounding are those of
      ``ssim``.

    Raises:
      InputError: as of ``ssim``.

    Source: Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error
    visibility to structural similarity", 2004.

    >>> x = jnp.linspace(0.0, 1.0, 144).reshape(1, 12, 12)
    >>> ssim_loss(x, x).tolist()
    [0.0]
    """
    value = ssim(
        outputs, reference, window=window, sd=sd, data_range=data_range, where=where
    )
    return or_zero(1 - value, where)


def luminance_loss(outputs: jax.Array, reference: jax.Array) -> jax.Array:
    """One less the similarity of means of windows of one pixel.

    Args:
      outputs: ``(B, H, W)`` or ``(B, H, W, C)``, between 0 and 1.
      reference: of the same shape.

    Returns:
      ``(B,)``.
    """
    alike = 2 * outputs * reference + K1**2
    alike = alike / (outputs**2 + reference**2 + K1**2)
    return 1 - jnp.mean(alike, axis=tuple(range(1, outputs.ndim)))


def _planes(x: jax.Array) -> jax.Array:
    """``(B, C, H, W)``."""
    return x[:, None] if x.ndim == 3 else jnp.moveaxis(x, -1, 1)


def _gaussian(window: int, sd: float) -> np.ndarray:
    """Weights of the positions of a window, with the sum 1."""
    apart = np.arange(window) - (window - 1) / 2
    weights = np.exp(-(apart**2) / (2 * sd**2))
    return weights / np.sum(weights)


def _band(size: int, weights: np.ndarray) -> np.ndarray:
    """The matrix of means over the windows of an axis, ``(windows, size)``."""
    count = size - weights.size + 1
    band = np.zeros((count, size))
    rows = np.arange(count)[:, None]
    band[rows, rows + np.arange(weights.size)] = weights
    return band


def _compared(
    a: jax.Array, b: jax.Array, c1: jax.Array, c2: jax.Array, weights: np.ndarray
) -> jax.Array:
    """Similarities of the windows, ``(B, C, H', W')``."""
    rows, columns = (jnp.asarray(_band(size, weights), a.dtype) for size in a.shape[2:])
    # Variances do not change; without the mean their terms do not cancel.
    shifts = [
        jax.lax.stop_gradient(jnp.mean(x, axis=(2, 3), keepdims=True)) for x in (a, b)
    ]
    u, v = a - shifts[0], b - shifts[1]
    maps = jnp.stack([u, v, u * u, v * v, u * v])
    # Matrix units would round the images.
    maps = jnp.einsum("...hw,jw->...hj", maps, columns, precision="highest")
    maps = jnp.einsum("...hj,ih->...ij", maps, rows, precision="highest")
    mean_u, mean_v, square_u, square_v, product = maps
    variance_u = jnp.maximum(square_u - mean_u**2, 0)
    variance_v = jnp.maximum(square_v - mean_v**2, 0)
    covariance = product - mean_u * mean_v
    mean_a, mean_b = mean_u + shifts[0], mean_v + shifts[1]
    means = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return means * (2 * covariance + c2) / (variance_u + variance_v + c2)
