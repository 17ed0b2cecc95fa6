"""Wiener deconvolution of images with a known kernel of their blur."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lab.core.checks import check_non_negative
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import check_arguments
from jaxopt_lab.core.trees import accumulation_dtype, safe_divide

Padding = Literal["edge", "wrap"]


def psf_to_otf(kernel: jax.Array, shape: tuple[int, int]) -> jax.Array:
    r"""The transfer function of a point spread function, on the grid of an image.

    The kernel, behind which zeros are added to the shape of the image, is rolled so
    that its middle, entry ``size // 2`` of each axis, stands at the origin, and
    transformed: ``ifft2(psf_to_otf(k, x.shape) * fft2(x))`` is the circular convolution
    of k and x, which moves nothing.

    Args:
      kernel: real, ``(..., h, w)``.
      shape: height and width of the image, at least those of the kernel.

    Returns:
      Complex, ``(..., *shape)``, complex64 or complex128.

    Raises:
      InputError: the kernel is larger than the image, or no array of real floats.

    A convolution: ``lax.conv``, a correlation, blurs alike with the kernel turned by
    half a turn.

    >>> impulse = jnp.array([[0.0, 2.0, 0.0]])
    >>> bool(jnp.all(psf_to_otf(impulse, (4, 4)) == 2))  # in the middle: no phase
    True
    """
    return jnp.fft.fft2(_at_origin(kernel, shape))


def wiener_deconvolution(
    images: jax.Array,
    kernel: jax.Array,
    noise_ratio: ArrayLike,
    *,
    padding: Padding = "edge",
) -> jax.Array:
    r"""Images with the blur of a known kernel undone, as far as noise allows.

    .. math:: \hat X = \frac{\overline{K} \, Y}{|K|^2 + r},

    with the transforms Y of the blurred image and K of the kernel, divided by its sum.
    With ``padding="wrap"`` it is the least-squares solution under a ridge r, and at
    r = 0 the inverse of the blur where K is not 0; there the result has no part of that
    frequency.

    Args:
      images: ``(B, H, W, C)``, real.
      kernel: ``(h, w)``, or ``(B, h, w)``, one for each image.
      noise_ratio: r, power of the noise over that of the image: a number, one for each
        channel ``(C,)``, or for each image and channel ``(B, C)``; at least 0. A signal
        and noise with flat spectra have the ratio of their variances.
      padding: ``"edge"``: the image is continued by its edge pixels over the size of
        the kernel, and the result cut out again, against ringing from the borders;
        ``"wrap"``: it is periodic.

    Returns:
      Of the shape and type of ``images``; transforms are float32 or float64.
      Differentiable in image, kernel and r, where K is not 0 at r = 0.

    Raises:
      InputError: shapes do not belong together, a kernel larger than the (continued)
        image, numbers that are not real, or a negative r.

    Cost: two transforms an image and channel, one a kernel. Kept for the gradient: the
    spectra of the images, half of the plane, and a few arrays of that size.

    Source: the Wiener filter; as a layer of a network Zhang et al., "INFWIDE: Image and
    Feature Space Wiener Deconvolution Network for Non-blind Image Deblurring in
    Low-Light Conditions", arXiv:2207.08201. Code read: zhihongz/INFWIDE, whose square
    of a spectrum as a matrix product fails for images that are not square.

    >>> x = jnp.arange(16.0).reshape(1, 4, 4, 1)
    >>> same = jax.jit(wiener_deconvolution)(x, jnp.ones((1, 1)), 0.0)
    >>> bool(jnp.allclose(same, x, atol=1e-5))
    True
    """
    check_arguments(wiener_deconvolution, {"padding": padding})
    check_non_negative("noise_ratio", noise_ratio)
    _check(images, kernel)
    wide = accumulation_dtype(jnp.promote_types(images.dtype, kernel.dtype))
    k = kernel.astype(wide)
    k = safe_divide(k, jnp.sum(k, axis=(-2, -1), keepdims=True))
    ratio = _over_planes(jnp.asarray(noise_ratio, wide), images.shape)
    x = jnp.moveaxis(images.astype(wide), -1, 1)
    by = kernel.shape[-2:] if padding == "edge" else (0, 0)
    x = jnp.pad(x, ((0, 0), (0, 0), *((n, n) for n in by)), mode="edge")
    shape = (x.shape[2], x.shape[3])
    otf = jnp.fft.rfft2(_at_origin(k, shape))
    otf = otf[None, None] if otf.ndim == 2 else otf[:, None]
    # The absolute value has no derivative at 0.
    power = jnp.square(otf.real) + jnp.square(otf.imag) + ratio
    # One real reciprocal, in place of two quotients, is kept for the gradient.
    inverse = safe_divide(jnp.ones_like(power), power)
    y = jnp.conj(otf) * jnp.fft.rfft2(x)
    y = jnp.fft.irfft2(y * jax.lax.complex(inverse, jnp.zeros_like(inverse)), s=shape)
    y = y[..., by[0] : shape[0] - by[0], by[1] : shape[1] - by[1]]
    return jnp.moveaxis(y, 1, -1).astype(images.dtype)


def _check(images: jax.Array, kernel: jax.Array) -> None:
    for name, x in (("images", images), ("kernel", kernel)):
        if not jnp.issubdtype(jnp.result_type(x), jnp.floating):
            raise InputError(
                f"{name} must be real floating numbers; got {jnp.result_type(x)}"
            )
    many = kernel.ndim == 3 and kernel.shape[0] == images.shape[0]
    if images.ndim != 4 or not (kernel.ndim == 2 or many):
        raise InputError(
            "images must be (B, H, W, C) and kernel (h, w) or (B, h, w); got "
            f"{images.shape} and {kernel.shape}"
        )


def _over_planes(ratio: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """A number for each plane of images ``(B, H, W, C)``, with four axes."""
    shapes = ((), (shape[3],), (shape[0], shape[3]))
    if ratio.shape not in shapes:
        raise InputError(
            f"noise_ratio must be a number, {shapes[1]} or {shapes[2]}; got "
            f"{ratio.shape}"
        )
    return ratio.reshape((1,) * (2 - ratio.ndim) + ratio.shape + (1, 1))


def _at_origin(kernel: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """The kernel on the grid of an image, its middle at the origin."""
    sizes = kernel.shape[-2:]
    if kernel.ndim < 2 or sizes[0] > shape[0] or sizes[1] > shape[1]:
        raise InputError(
            f"a kernel of shape {kernel.shape} does not fit images of {shape[0]} by "
            f"{shape[1]}; accepted: (..., h, w) that are not larger"
        )
    if not jnp.issubdtype(kernel.dtype, jnp.floating):
        raise InputError(f"kernel must be real floating numbers; got {kernel.dtype}")
    behind = [(0, n - size) for n, size in zip(shape, sizes, strict=True)]
    wide = kernel.astype(accumulation_dtype(kernel.dtype))
    placed = jnp.pad(wide, [(0, 0)] * (kernel.ndim - 2) + behind)
    return jnp.roll(placed, [-(size // 2) for size in sizes], axis=(-2, -1))
