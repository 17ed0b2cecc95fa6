"""Content-guided attention: a map of weights for each channel of images (DEA-Net)."""

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional, stateless_layer
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.core.shapes import flattened
from jaxopt_lab.core.typing import Params
from jaxopt_lab.layers.conv.transformed_conv import KernelInit
from jaxopt_lab.layers.masks import over_features, without_padding

_SIDE = 7
# A convolution in groups takes XLA a second on a CPU where one of all channels, with
# zeros between the groups, takes 15 ms; beyond so many groups the zeros cost more.
MOST_DENSE = 32


def content_guided_attention(
    features: Annotated[int, COUNT],
    *,
    reduction: Annotated[int, COUNT] = 8,
    refine: bool = True,
    kernel_init: KernelInit | None = None,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Images times weights in (0, 1) of each channel and position, made from them.

    .. math::
        p = W_2\, \mathrm{relu}(W_1 \operatorname{mean}_{hw} x) +
        \mathrm{conv}_7 [\operatorname{mean}_c x, \operatorname{max}_c x], \qquad
        y_c = x_c \cdot \sigma(\mathrm{conv}_{7,c} [x_c, p_c]).

    A weight for each channel and one for each position add up to the coarse map p; a
    convolution of every channel beside its coarse map makes the weights from it.

    Args:
      features: channels of the input.
      reduction: of the channels between :math:`W_1` and :math:`W_2`, at least one.
      refine: False: the weights are :math:`\sigma(p)`.
      kernel_init: as jax's initializers; ``None``: LeCun's normal numbers.
      param_dtype: type of the parameters.

    Returns:
      ``init(key)`` and ``apply`` by the contract of layers: ``x`` ``(B, height, width,
      features)`` with at least 4 rows and columns, over whose edges it is reflected;
      ``y`` as ``x``. ``mask`` ``(B,)`` is 0 for padding. No state. Kept for the
      gradient: 26 bytes a number of the input.

    Raises:
      InputError: an argument is out of range; at the call, ``x`` does not fit, or the
        mask is one of positions.

    In a block of the paper it stands in ``content_guided_attention(y) + x``, behind the
    convolutions that make y of x.

    Source: Chen, He and Lu, "DEA-Net: Single Image Dehazing Based on Detail-Enhanced
    Convolution and Content-Guided Attention", arXiv:2301.04805. Code read:
    cecret3350/DEA-Net.

    >>> layer = content_guided_attention(2, kernel_init=jax.nn.initializers.zeros)
    >>> params, state = layer.init(jax.random.key(0))
    >>> y, _ = layer.apply(params, state, jnp.ones((1, 4, 4, 2)), train=True)
    >>> y[0, 0, 0].tolist()
    [0.5, 0.5]
    """
    check_arguments(content_guided_attention, locals())

    def init(key: jax.Array | None = None) -> tuple[Any, Any]:
        if key is None:
            raise InputError("content_guided_attention: init draws kernels; pass a key")
        names = attention_shapes(features, reduction)
        names = names if refine else {n: s for n, s in names.items() if n != "pixel"}
        return drawn(key, names, kernel_init, param_dtype), {}

    def apply(params: Params, x: jax.Array, mask: jax.Array | None) -> jax.Array:
        valid = checked_images("content_guided_attention", x, features, mask)
        x = without_padding(x, valid)
        if refine:
            return x * jax.nn.sigmoid(refined_map(params, x))
        return x * jax.nn.sigmoid(coarse_map(params, x))

    return stateless_layer(init, apply)


def coarse_attention(params: Any, x: jax.Array) -> jax.Array:
    """Images times the sigmoid of a weight for each channel and one for each position.

    Args:
      params: of ``content_guided_attention(refine=False)``.
      x: ``(B, H, W, C)``.

    Returns:
      The images.
    """
    mean = jnp.mean(x, axis=(1, 2))
    hidden = mean @ params["down_kernel"] + params["down_bias"][None]
    channel = jax.nn.relu(hidden) @ params["up_kernel"] + params["up_bias"][None]
    pair = jnp.stack([jnp.mean(x, axis=-1), jnp.max(x, axis=-1)], axis=-1)
    spatial = _conv(params, "spatial", pair, 1)
    return x / (1 + jnp.exp(-(channel[:, None, None] + spatial)))


def coarse_map(params: Any, x: jax.Array) -> jax.Array:
    """A weight for each channel plus one for each position.

    Args:
      params: of ``content_guided_attention``.
      x: ``(B, H, W, C)``.

    Returns:
      p, of the shape of ``x``.
    """
    mean = jnp.mean(x, axis=(1, 2), keepdims=True)
    hidden = jax.nn.relu(_dense(params, "down", mean))
    pair = jnp.stack([jnp.mean(x, axis=-1), jnp.max(x, axis=-1)], axis=-1)
    return _dense(params, "up", hidden) + _conv(params, "spatial", pair, 1)


def refined_map(params: Any, x: jax.Array) -> jax.Array:
    """The convolution of every channel beside its coarse map, before the sigmoid.

    Args:
      params: of ``content_guided_attention``.
      x: ``(B, H, W, C)``.

    Returns:
      Of the shape of ``x``.
    """
    both = jnp.stack([x, coarse_map(params, x)], axis=-1)
    return _conv(params, "pixel", flattened(both, x.ndim - 1), x.shape[-1])


def attention_shapes(features: int, reduction: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the kernels of ``coarse_map`` and ``refined_map``, by name.

    Args:
      features: channels.
      reduction: of the channels of the bottleneck.

    Returns:
      The shapes, outputs last.
    """
    inner = max(features // reduction, 1)
    return {
        "down": (features, inner),
        "up": (inner, features),
        "spatial": (_SIDE, _SIDE, 2, 1),
        "pixel": (_SIDE, _SIDE, 2, features),
    }


def drawn(
    key: jax.Array,
    shapes: dict[str, tuple[int, ...]],
    kernel_init: KernelInit | None,
    param_dtype: DTypeLike,
) -> dict[str, jax.Array]:
    """Kernels ``NAME_kernel`` of these shapes, and biases ``NAME_bias`` of zeros.

    Args:
      key: for the kernels.
      shapes: by name.
      kernel_init: as jax's initializers; ``None``: LeCun's normal numbers.
      param_dtype: their type.

    Returns:
      The parameters.
    """
    draw = jax.nn.initializers.lecun_normal() if kernel_init is None else kernel_init
    params = {}
    keys = jax.random.split(key, len(shapes))
    for own, (name, shape) in zip(keys, shapes.items(), strict=True):
        params[f"{name}_kernel"] = draw(own, shape, param_dtype)
        params[f"{name}_bias"] = jnp.zeros(shape[-1], param_dtype)
    return params


def checked_images(
    layer: str, x: jax.Array, features: int, mask: jax.Array | None
) -> jax.Array | None:
    """The mask of ``over_features``, of images that can be reflected at their edges.

    Args:
      layer: its name, for messages.
      x: the input.
      features: of the layer.
      mask: ``(B,)`` or None.

    Returns:
      As ``over_features``.

    Raises:
      InputError: the input or the mask does not fit.
    """
    if x.ndim != 4 or min(x.shape[1:3]) <= _SIDE // 2:
        raise InputError(
            f"{layer} takes images (B, height, width, {features}) with at least "
            f"{_SIDE // 2 + 1} rows and columns; got {x.shape}"
        )
    if mask is not None and mask.ndim != 1:
        raise InputError(f"{layer} takes a mask of examples, (B,); got {mask.shape}")
    return over_features(layer, x, features, mask)


def _dense(params: Any, name: str, x: jax.Array) -> jax.Array:
    kernel, bias = params[f"{name}_kernel"], params[f"{name}_bias"]
    return x @ kernel.astype(x.dtype) + bias.astype(x.dtype)[None, None, None]


def _conv(params: Any, name: str, x: jax.Array, groups: int) -> jax.Array:
    reach = _SIDE // 2
    x = jnp.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="reflect")
    kernel = params[f"{name}_kernel"].astype(x.dtype)
    if 1 < groups <= MOST_DENSE:
        own = jnp.eye(groups, dtype=x.dtype)
        kernel = jnp.einsum("hwic,cg->hwgic", kernel, own, precision="highest")
        kernel = kernel.reshape(_SIDE, _SIDE, x.shape[-1], groups)
        groups = 1
    y = jax.lax.conv_general_dilated(
        x,
        kernel,
        (1, 1),
        "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )
    return y + params[f"{name}_bias"].astype(x.dtype)[None, None, None]
