"""Masked convolution: a pixel's own value is hidden from its output."""

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.core.where import or_zero
from jaxopt_lab.layers.conv.transformed_conv import (
    ConvShape,
    KernelInit,
    KernelTransform,
    transformed_conv,
)


def masked_conv(
    x: jax.Array,
    kernel: jax.Array,
    mask: jax.Array | np.ndarray | None = None,
    *,
    dilation: Annotated[int, COUNT] = 1,
) -> jax.Array:
    r"""Convolution of images by the entries of a kernel that a mask leaves.

    Behind one convolution whose kernel of side :math:`2 r + 1` lacks its middle, all of
    dilation :math:`r + 1` (or of 1 x 1) leave the output independent of the input at
    its own position: the offsets of the first are not 0 and at most r, those of the
    others multiples of :math:`r + 1`.

    Args:
      x: ``(B, H, W, C)``, floating.
      kernel: ``(h, w, C, out)``, as flax's.
      mask: ``(h, w)`` or the kernel's shape, 0 where an entry counts as 0, whatever it
        holds; None: all count.
      dilation: positions between neighbouring entries.

    Returns:
      ``(B, H, W, out)``, of the type of ``x``; zeros lie beyond the edges.

    Raises:
      InputError: shapes do not fit.

    Kept for the gradient: the input and the kernel.

    >>> x, kernel = jnp.arange(4.0).reshape(1, 1, 4, 1), jnp.ones((1, 3, 1, 1))
    >>> masked_conv(x, kernel, jnp.array([[1, 0, 1]])).ravel().tolist()
    [1.0, 2.0, 4.0, 2.0]
    """
    check_arguments(masked_conv, {"dilation": dilation})
    if x.ndim != 4 or kernel.ndim != 4 or kernel.shape[2] != x.shape[3]:
        raise InputError(
            f"masked_conv takes images (B, H, W, C) and a kernel (h, w, C, out); got "
            f"{x.shape} and {kernel.shape}"
        )
    if mask is not None:
        kernel = _masked(kernel, mask)
    return jax.lax.conv_general_dilated(
        x,
        kernel.astype(x.dtype),
        (1, 1),
        "SAME",
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def centre_mask(size: Annotated[int, COUNT]) -> np.ndarray:
    """The mask of a square kernel without its middle.

    Args:
      size: side of the kernel, odd.

    Returns:
      Booleans ``(size, size)``.

    Raises:
      InputError: the size is even.

    >>> centre_mask(3).astype(int).tolist()
    [[1, 1, 1], [1, 0, 1], [1, 1, 1]]
    """
    check_arguments(centre_mask, {"size": size})
    if size % 2 == 0:
        raise InputError(f"size must be odd, for a middle; got {size}")
    mask = np.ones((size, size), bool)
    mask[size // 2, size // 2] = False
    return mask


def blind_spot_conv(
    features: Annotated[int, COUNT],
    *,
    out: Annotated[int | None, COUNT] = None,
    size: Annotated[int, COUNT] = 3,
    blind: bool = True,
    use_bias: bool = True,
    kernel_init: KernelInit | None = None,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Convolution whose kernel lacks its middle: a pixel does not see itself.

    With ``blind=False`` the same parameters make a plain convolution: a network that is
    trained blind, on noisy images alone, is used with all pixels seen.

    Args:
      features: channels of the input.
      out: channels of the output; ``None``: as the input.
      size: sides of the kernel, odd.
      blind: whether the middle counts as 0; it has no gradient then.
      use_bias: whether a bias is added.
      kernel_init: as jax's initializers; ``None``: LeCun's normal numbers, as flax.
      param_dtype: type of the parameters.

    Returns:
      ``init(key) -> ({"kernel"[, "bias"]}, {})`` and ``apply(params, state, x, *,
      train, key=None, axis_name=None, mask=None) -> (y, state)``: ``x`` ``(B, height,
      width, features)``, ``y`` of its size with ``out`` channels. ``mask``, of the
      first axes of ``x``, is 0 for padding. No state. Kept for the gradient: the input.

    Raises:
      InputError: an argument is out of range; at the call, ``x`` does not fit.

    Source: Jang, Kim, Lee and Cho, "Self-supervised Image Denoising with Downsampled
    Invariance Loss and Conditional Blind-Spot Network", arXiv:2304.09507. Code read:
    jyicu/CBSN, where the kernels are 3 x 3 and 5 x 5.

    >>> layer = blind_spot_conv(1, use_bias=False)
    >>> params, x = {"kernel": jnp.ones((3, 3, 1, 1))}, jnp.ones((1, 3, 3, 1))
    >>> layer.apply(params, {}, x, train=True)[0][0, 1, 1].tolist()
    [8.0]
    """
    check_arguments(blind_spot_conv, locals())
    mask = centre_mask(size)
    transform = KernelTransform(lambda *_: {}, lambda _, kernel: _masked(kernel, mask))
    options: dict[str, Any] = {"kernel_init": kernel_init, "param_dtype": param_dtype}
    return transformed_conv(
        "blind_spot_conv",
        features,
        ConvShape(features if out is None else out, size, 1, None, 1),
        transform if blind else None,
        use_bias=use_bias,
        **options,
    )


def _masked(kernel: jax.Array, mask: jax.Array | np.ndarray) -> jax.Array:
    if mask.shape not in (kernel.shape[:2], kernel.shape):
        raise InputError(
            f"mask must be {kernel.shape[:2]} or {kernel.shape}; got {mask.shape}"
        )
    return or_zero(kernel, jnp.asarray(mask))
