"""Detail-enhanced convolution: a plain kernel and four of differences, as a layer."""

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional, real_layer
from jaxopt_lab.core.options import COUNT, NON_NEGATIVE, STATIC, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.layers.conv.difference_kernels import detail_enhanced_kernel
from jaxopt_lab.layers.conv.transformed_conv import (
    ConvShape,
    KernelInit,
    KernelTransform,
    transformed_conv,
)

_DIFFERENCES = ("central", "angular", "horizontal", "vertical")


def detail_enhanced_conv(
    features: Annotated[int, COUNT],
    *,
    out: Annotated[int | None, COUNT] = None,
    differences: bool = True,
    theta: Annotated[float, NON_NEGATIVE, STATIC] = 1.0,
    use_bias: bool = True,
    kernel_init: KernelInit | None = None,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""A 3 x 3 convolution with the sum of a plain kernel and four of differences.

    .. math:: y = x * (w_v + D_c w_c + D_a w_a + D_h w_h + D_v w_v) + b

    with central, angular, horizontal and vertical differences: edges, which a plain
    kernel has to learn, are there from the start. It costs one convolution, and
    ``fold_differences`` leaves the parameters of one.

    Args:
      features: channels of the input.
      out: channels of the output; ``None``: as the input.
      differences: False: a plain convolution.
      theta: of the angular differences.
      use_bias: whether a bias is added.
      kernel_init: as jax's initializers, of each of the five; ``None``: LeCun's normal
        numbers.
      param_dtype: type of the parameters.

    Returns:
      ``init(key) -> ({"kernel", "central", "angular", "horizontal", "vertical"[,
      "bias"]}, {})`` and ``apply(params, state, x, *, train, key=None, axis_name=None,
      mask=None) -> (y, state)``: ``x`` ``(B, height, width, features)``, ``y`` of its
      size with ``out`` channels. ``mask``, of the first axes of ``x``, is 0 for
      padding. No state. Kept for the gradient: the input, and the kernel.

    Raises:
      InputError: an argument is out of range; at the call, ``x`` does not fit.

    The code has a bias for each of the five, which add up; here there is one.

    Source: Chen, He and Lu, "DEA-Net: Single Image Dehazing Based on Detail-Enhanced
    Convolution and Content-Guided Attention", arXiv:2301.04805. Code read:
    cecret3350/DEA-Net.

    >>> layer = detail_enhanced_conv(1, out=2)
    >>> params, state = layer.init(jax.random.key(0))
    >>> layer.apply(params, state, jnp.ones((1, 4, 4, 1)), train=True)[0].shape
    (1, 4, 4, 2)
    """
    check_arguments(detail_enhanced_conv, locals())
    draw = jax.nn.initializers.lecun_normal() if kernel_init is None else kernel_init
    count = features if out is None else out
    transform = KernelTransform(lambda *_: {}, lambda params, _: _folded(params, theta))
    conv = transformed_conv(
        "detail_enhanced_conv",
        features,
        ConvShape(count, 3, 1, None, 1),
        transform if differences else None,
        use_bias=use_bias,
        kernel_init=draw,
        param_dtype=param_dtype,
    )

    def init(key: jax.Array | None = None) -> tuple[Any, Any]:
        if key is None:
            raise InputError("detail_enhanced_conv: init draws the kernels; pass a key")
        params, state = conv.init(key)
        if differences:
            keys = jax.random.split(key, 5)[1:]
            for name, own in zip(_DIFFERENCES, keys, strict=True):
                sides = (3,) if name in ("horizontal", "vertical") else (3, 3)
                params[name] = draw(own, (*sides, features, count), param_dtype)
        return params, state

    return real_layer(init, conv.apply)


def fold_differences(
    params: Any, *, theta: Annotated[float, NON_NEGATIVE] = 1.0
) -> dict[str, jax.Array]:
    """The parameters of the plain convolution that a detail-enhanced one is.

    Args:
      params: of ``detail_enhanced_conv``.
      theta: its option.

    Returns:
      ``{"kernel"[, "bias"]}``, for ``detail_enhanced_conv(..., differences=False)`` or
      ``flax.nnx.Conv``.

    >>> layer = detail_enhanced_conv(1)
    >>> sorted(fold_differences(layer.init(jax.random.key(0))[0]))
    ['bias', 'kernel']
    """
    rest = {name: params[name] for name in ("bias",) if name in params}
    return {"kernel": _folded(params, theta), **rest}


def _folded(params: Any, theta: float) -> jax.Array:
    # Differences of rounded sums would be rough.
    dtype = params["kernel"].dtype
    wide = accumulation_dtype(dtype)
    kernels = (params[name].astype(wide) for name in ("kernel", *_DIFFERENCES))
    return detail_enhanced_kernel(*kernels, theta=theta).astype(dtype)
