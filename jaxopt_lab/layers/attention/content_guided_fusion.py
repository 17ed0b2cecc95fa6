"""Fusion of two images of features by content-guided attention (DEA-Net)."""

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional, stateless_layer
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.core.typing import Params
from jaxopt_lab.layers.attention.content_guided_attention import (
    attention_shapes,
    checked_images,
    drawn,
    refined_map,
)
from jaxopt_lab.layers.conv.transformed_conv import KernelInit
from jaxopt_lab.layers.masks import without_padding


def content_guided_fusion(
    features: Annotated[int, COUNT],
    *,
    reduction: Annotated[int, COUNT] = 8,
    attend: bool = True,
    double_sigmoid: bool = False,
    kernel_init: KernelInit | None = None,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Features of an encoder and of a decoder, mixed by weights made from their sum.

    .. math:: W (x + y + p\, x + (1 - p)\, y), \qquad p = \sigma(q(x + y)),

    with the map q of ``content_guided_attention``, before its sigmoid.

    Args:
      features: channels of the input: of x and behind them as many of y.
      reduction: of the channels of the bottleneck.
      attend: False: p is 1/2.
      double_sigmoid: as the code, whose weights are :math:`\sigma(\sigma(q))`, between
        0.5 and 0.731.
      kernel_init: as jax's initializers; ``None``: LeCun's normal numbers.
      param_dtype: type of the parameters.

    Returns:
      ``init(key)`` and ``apply`` by the contract of layers: the input is ``(B, height,
      width, features)``, at least 4 by 4, the output has half of the features. ``mask``
      ``(B,)`` is 0 for padding. No state. Kept for the gradient: 19 bytes a number of
      the input.

    Raises:
      InputError: an argument is out of range, or an odd number of features; at the
        call, the images do not fit.

    Source: Chen, He and Lu, "DEA-Net: Single Image Dehazing Based on Detail-Enhanced
    Convolution and Content-Guided Attention", arXiv:2301.04805. Code read:
    cecret3350/DEA-Net.

    >>> layer = content_guided_fusion(4)
    >>> params, state = layer.init(jax.random.key(0))
    >>> layer.apply(params, state, jnp.ones((1, 4, 4, 4)), train=True)[0].shape
    (1, 4, 4, 2)
    """
    check_arguments(content_guided_fusion, locals())
    if features % 2:
        raise InputError(f"features must be even, those of x and of y; got {features}")
    half = features // 2

    def init(key: jax.Array | None = None) -> tuple[Any, Any]:
        if key is None:
            raise InputError("content_guided_fusion: init draws kernels; pass a key")
        shapes = attention_shapes(half, reduction) if attend else {}
        shapes = {**shapes, "mix": (half, half)}
        return drawn(key, shapes, kernel_init, param_dtype), {}

    def apply(params: Params, x: jax.Array, mask: jax.Array | None) -> jax.Array:
        valid = checked_images("content_guided_fusion", x, features, mask)
        x, y = jnp.split(without_padding(x, valid), 2, axis=-1)
        mixed = x + y
        p = jnp.full_like(x, 0.5)
        if attend:
            p = jax.nn.sigmoid(refined_map(params, mixed))
            p = jax.nn.sigmoid(p) if double_sigmoid else p
        mixed = mixed + p * x + (1 - p) * y
        mixed = mixed @ params["mix_kernel"].astype(x.dtype)
        bias = params["mix_bias"].astype(x.dtype)[None, None, None]
        return without_padding(mixed + bias, valid)

    return stateless_layer(init, apply)


def equal_fusion(params: Any, x: jax.Array) -> jax.Array:
    """One and a half times the sum of two images, mixed over the channels.

    Args:
      params: of ``content_guided_fusion(attend=False)``.
      x: both, along the channels.

    Returns:
      The images.
    """
    first, second = jnp.split(x, 2, axis=-1)
    mixed = 1.5 * (first + second)
    return mixed @ params["mix_kernel"] + params["mix_bias"][None, None, None]
