"""Norm-aware linear attention over the positions of an image (NaLaFormer)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional, stateless_layer
from jaxopt_lab.core.options import (
    COUNT,
    NON_NEGATIVE,
    POSITIVE,
    STATIC,
    check_arguments,
)
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Params
from jaxopt_lab.layers.attention.linear_attention import (
    linear_attention,
    norm_aware_features,
    rotary_angles,
)
from jaxopt_lab.layers.heads import head_size
from jaxopt_lab.layers.masks import over_images, without_padding
from jaxopt_lab.layers.norm.last_axis import along, normalized

_NORMAL = jax.nn.initializers.truncated_normal(0.02)


def norm_aware_attention(
    features: Annotated[int, COUNT],
    *,
    heads: Annotated[int, COUNT] = 1,
    rotary: bool = True,
    lepe_size: Annotated[int | None, COUNT] = 5,
    gate: bool = True,
    power_scale: Annotated[float, NON_NEGATIVE, STATIC] = 3.0,
    power_shift: Annotated[float, NON_NEGATIVE, STATIC] = 0.5,
    key_power: Annotated[int, COUNT] = 3,
    eps: Annotated[float, POSITIVE, STATIC] = 1e-6,
    kernel_init: Callable[..., jax.Array] = _NORMAL,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Linear attention whose weights sharpen with the norm of the query.

    .. math:: y = \bigl(\text{norm}(\text{attend}(\phi(q), \phi(k), v) + c(v))
        \odot \text{silu}(g)\bigr) W_o, \qquad [q, k, v, g] = x W + b

    with the features of ``norm_aware_features``, ``linear_attention`` for each head, a
    depth-wise convolution c of the values and layer normalization.

    Args:
      features: size of the last axis.
      heads: divides ``features``.
      rotary: turn the features of queries and keys by row and column; the size of a
        head must be even.
      lepe_size: width of the kernel of c; ``None``: no c.
      gate: have g.
      power_scale: of ``norm_aware_features``.
      power_shift: of ``norm_aware_features``.
      key_power: of ``norm_aware_features``, odd.
      eps: added to the mean weight, and to the variance of the norm.
      kernel_init: initializer of the kernels.
      param_dtype: type of the parameters.

    Returns:
      ``init(key) -> (params, {})`` and ``apply(params, state, x, *, train, key=None,
      axis_name=None, mask=None) -> (y, state)`` for images ``(B, H, W, features)``.
      ``mask``, ``(B,)`` or ``(B, H, W)``, is 0 for padding, which is not seen and gives
      0. Training and evaluation are the same.

    Raises:
      InputError: an argument is out of range, or sizes do not divide; at the call, the
        input does not fit.

    Time and memory are linear in the positions: 2 (C / heads)^2 numbers a head beside
    arrays of the size of the input. Features and sums are float32 for narrower types.

    Source: Meng et al., "NaLaFormer: Norm-Aware Linear Attention for Transformer
    Models", 2025 (https://arxiv.org/abs/2506.21137).

    >>> ones = jax.nn.initializers.ones
    >>> layer = norm_aware_attention(4, heads=2, lepe_size=None, kernel_init=ones)
    >>> start = layer.init(jax.random.key(0))
    >>> apply = jax.jit(lambda x: layer.apply(*start, x, train=True)[0])
    >>> apply(jnp.ones((1, 2, 2, 4))).shape
    (1, 2, 2, 4)
    """
    given = {n: v for n, v in locals().items() if n != "kernel_init"}
    check_arguments(norm_aware_attention, given)
    size = head_size(features, heads)
    if rotary and size % 2:
        raise InputError(
            f"the size of a head, {size}, must be even with rotary=True; give another "
            "number of heads, or rotary=False"
        )
    if key_power % 2 == 0:
        raise InputError(f"key_power must be odd; got {key_power}")
    parts = 4 if gate else 3

    def init(key: jax.Array) -> tuple[dict[str, jax.Array], Any]:
        draw = lambda i, shape: kernel_init(
            jax.random.fold_in(key, i), shape, param_dtype
        )
        params = {
            "inner": draw(0, (features, parts * features)),
            "inner_bias": jnp.zeros(parts * features, param_dtype),
            "outer": draw(1, (features, features)),
            "outer_bias": jnp.zeros(features, param_dtype),
            "norm_scale": jnp.ones(features, param_dtype),
            "norm_bias": jnp.zeros(features, param_dtype),
        }
        if lepe_size is not None:
            params["lepe"] = draw(2, (lepe_size, lepe_size, 1, features))
            params["lepe_bias"] = jnp.zeros(features, param_dtype)
        return params, {}

    def apply(params: Params, x: jax.Array, mask: jax.Array | None) -> jax.Array:
        valid = over_images("norm_aware_attention", x, features, mask)
        batch, height, width, _ = x.shape
        wide = accumulation_dtype(x.dtype)
        h = without_padding(x, valid) @ params["inner"].astype(x.dtype)
        h = (h + along(params["inner_bias"], h)).astype(wide)
        q, k, v, *g = jnp.split(h, parts, axis=-1)
        v = without_padding(v, valid)

        def of_heads(z: jax.Array) -> jax.Array:
            return z.reshape(batch, height * width, heads, size).swapaxes(1, 2)

        seen = None
        if valid is not None:
            seen = jnp.broadcast_to(valid, (batch, height, width, 1))
            seen = seen.reshape(batch, 1, height * width, 1)
        mapped = norm_aware_features(
            of_heads(q),
            of_heads(k),
            power_scale=power_scale,
            power_shift=power_shift,
            key_power=key_power,
        )
        angles = rotary_angles(height, width, 2 * size) if rotary else None
        y = linear_attention(*mapped, of_heads(v), eps=eps, angles=angles, where=seen)
        y = y.swapaxes(1, 2).reshape(v.shape)
        if lepe_size is not None:
            y = y + _depthwise(v, params["lepe"]) + along(params["lepe_bias"], y)
        y = normalized(y, eps, centred=True) * along(params["norm_scale"], y)
        y = y + along(params["norm_bias"], y)
        if gate:
            y = y * jax.nn.silu(g[0])
        y = y.astype(x.dtype) @ params["outer"].astype(x.dtype)
        y = y + along(params["outer_bias"], y)
        return without_padding(y, valid)

    return stateless_layer(init, apply)


def _depthwise(v: jax.Array, kernel: jax.Array) -> jax.Array:
    return jax.lax.conv_general_dilated(
        v,
        kernel.astype(v.dtype),
        (1, 1),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=v.shape[-1],
    )


def sign_attention(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    """Weights from the signs of queries, by the matrix of tokens by tokens.

    It is what is left with powers of 0, one head and nothing beside the attention.

    Args:
      params: of ``norm_aware_attention``.
      x: ``(B, H, W, features)``.

    Returns:
      As ``x``.
    """
    z = x.reshape(x.shape[0], -1, x.shape[-1])
    q, k, v = jnp.split(z @ params["inner"] + along(params["inner_bias"], z), 3, -1)
    unlike = (jnp.sign(q)[:, :, None] != jnp.sign(k)[:, None]) | (q[:, :, None] == 0)
    cubes = jnp.broadcast_to(jnp.abs(k**3)[:, None], unlike.shape)
    weights = jnp.sum(jnp.where(unlike, 0, cubes), axis=-1)
    mean = jnp.mean(weights, axis=-1, keepdims=True)
    weights = weights / (mean + jnp.asarray(1e-6, x.dtype))
    y = jnp.einsum("bnm,bmd->bnd", weights, v) / jnp.asarray(z.shape[1], x.dtype)
    y = normalized(y, 1e-6, centred=True) * along(params["norm_scale"], y)
    y = (y + along(params["norm_bias"], y)) @ params["outer"]
    return (y + along(params["outer_bias"], y)).reshape(x.shape)
