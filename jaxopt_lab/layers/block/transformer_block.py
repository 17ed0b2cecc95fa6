"""A block of a transformer: attention and a perceptron, pre- or post-norm."""
# Its examples wait for pytest --full.

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional, stateless_layer
from jaxopt_lab.core.options import COUNT, POSITIVE, STATIC, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Params
from jaxopt_lab.layers.block.norm_placement import Placement
from jaxopt_lab.layers.block.residual_scale import (
    ResidualScale,
    fixup_factors,
    learned_scalars,
    residual_scale,
    scaled_residual,
)
from jaxopt_lab.layers.heads import head_size
from jaxopt_lab.layers.masks import over_features, without_padding
from jaxopt_lab.layers.norm.last_axis import along, normalized
from jaxopt_lab.layers.norm.layernorm_scaling import layer_norm_scale

MODULES = ("attention", "mlp")
_NORMAL = jax.nn.initializers.normal(0.02)


def transformer_block(
    features: Annotated[int, COUNT],
    *,
    heads: Annotated[int, COUNT] = 1,
    placement: Placement = "pre",
    scaled_index: Annotated[int, COUNT] = 1,
    residual: ResidualScale = "1",
    depth: Annotated[int, COUNT] = 1,
    causal: bool = True,
    eps: Annotated[float, POSITIVE, STATIC] = 1e-6,
    kernel_init: Callable[..., jax.Array] = _NORMAL,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""One block for pre-norm, post-norm, Mix-LN and LayerNorm scaling stacks.

    Two modules :math:`f`, attention and then a perceptron (GELU, 4 times as wide), each

    .. math::
        \text{pre: } x + c\, f(\text{norm}(x)), \qquad
        \text{post: } \text{norm}(x + c\, f(x)).

    A stack takes ``placement`` from ``norm_placement(depth, kind="mix")``, and for
    LayerNorm scaling ``scaled_index`` from the number of the block, from 1. The output
    of a post-norm block has rows of mean 0 and variance 1 at the start, whatever the
    size of its input.

    Args:
      features: width of the residual stream.
      heads: attention heads; divides ``features``.
      placement: of both norms.
      scaled_index: the outputs of both norms are divided by the root of this.
      residual: residual scale, of ``residual_scale``, with two modules a block.
      depth: number of blocks of the stack, for the residual scale.
      causal: a position sees itself and earlier ones only.
      eps: added to the variance of the norms, above 0.
      kernel_init: initializer of the four kernels.
      param_dtype: type of the parameters.

    Returns:
      ``init(key) -> (params, {})`` and ``apply(params, state, x, *, train, key=None,
      axis_name=None, mask=None) -> (y, state)``. ``x`` is ``(B, T, features)`` of any
      floating type, ``y`` has its shape and type. ``mask``, ``(B,)`` or ``(B, T)``, is
      0 for padding, which is not seen and gives 0. No state; training and evaluation
      are the same. Differentiable to any order.

    Raises:
      InputError: an argument is out of range, ``heads`` does not divide ``features``;
        at the call, the input does not fit.

    Cost: products of ``12 features ** 2`` a position and of ``T * features`` a
    position for the attention, whose weights ``(B, heads, T, T)`` are kept for the
    gradient. On the catalog's example it keeps 149 bytes a float32 number of ``x``;
    under ``jax.checkpoint`` it is ``x`` alone.

    Source: Li et al., "Mix-LN", 2024 (https://arxiv.org/abs/2412.13795), and Sun et
    al., "The Curse of Depth in Large Language Models", 2025
    (https://arxiv.org/abs/2502.05795).

    >>> block = transformer_block(4, heads=2, placement="post")
    >>> start = block.init(jax.random.key(0))
    >>> block.apply(*start, jnp.ones((1, 3, 4)), train=True)[0].shape
    (1, 3, 4)
    """
    options = {n: v for n, v in locals().items() if n != "kernel_init"}
    check_arguments(transformer_block, options)
    size = head_size(features, heads)
    scale = residual_scale(residual, depth=2 * depth)
    norm_scale = layer_norm_scale(scaled_index)
    shapes = {
        "qkv": (features, 3 * features),
        "attention_out": (features, features),
        "mlp_in": (features, 4 * features),
        "mlp_out": (4 * features, features),
    }

    def init(key: jax.Array) -> tuple[dict[str, jax.Array], Any]:
        params = {}
        factors = fixup_factors(2 * depth, 2) if residual == "fixup" else (1.0, 1.0)
        for i, (name, shape) in enumerate(shapes.items()):
            kernel = kernel_init(jax.random.fold_in(key, i), shape, param_dtype)
            params[name] = kernel * jnp.asarray(factors[i % 2], param_dtype)
            params[f"{name}_bias"] = jnp.zeros(shape[1], param_dtype)
        for module in MODULES:
            params[f"{module}_norm_scale"] = jnp.ones(features, param_dtype)
            params[f"{module}_norm_bias"] = jnp.zeros(features, param_dtype)
            for name, value in learned_scalars(residual).items():
                params[f"{module}_{name}"] = jnp.asarray(value, param_dtype)
        return params, {}

    def apply(params: Params, x: jax.Array, mask: jax.Array | None) -> jax.Array:
        valid = over_features("transformer_block", x, features, mask)
        if x.ndim != 3:
            raise InputError(
                f"transformer_block takes inputs (B, T, {features}); got {x.shape}"
            )
        x = without_padding(x, valid)

        def dense(name: str, h: jax.Array) -> jax.Array:
            kernel = params[name].astype(h.dtype)
            return h @ kernel + along(params[f"{name}_bias"], h)

        def attention(h: jax.Array) -> jax.Array:
            split = (*h.shape[:2], heads, size)
            parts = jnp.split(dense("qkv", h), 3, axis=-1)
            q, k, v = (part.reshape(split) for part in parts)
            y = _attend(q, k, v, causal, valid)
            return dense("attention_out", y.reshape(h.shape))

        def mlp(h: jax.Array) -> jax.Array:
            return dense("mlp_out", jax.nn.gelu(dense("mlp_in", h)))

        def norm(module: str) -> Callable[[jax.Array], jax.Array]:
            def run(h: jax.Array) -> jax.Array:
                z = normalized(h.astype(accumulation_dtype(h.dtype)), eps, centred=True)
                z = z * along(params[f"{module}_norm_scale"], z)
                z = z + along(params[f"{module}_norm_bias"], z)
                return (z * jnp.asarray(norm_scale, z.dtype)).astype(h.dtype)

            return run

        for module, run in zip(MODULES, (attention, mlp), strict=True):
            learned = {n: params[f"{module}_{n}"] for n in learned_scalars(residual)}
            x = scaled_residual(
                run,
                x,
                scale=scale,
                norm=norm(module),
                placement=placement,
                learned=learned,
            )
        return without_padding(x, valid)

    return stateless_layer(init, apply)


def _attend(
    q: jax.Array, k: jax.Array, v: jax.Array, causal: bool, valid: jax.Array | None
) -> jax.Array:
    """Attention of each head, its softmax in the type of sums."""
    length, wide = q.shape[1], accumulation_dtype(q.dtype)
    seen = jnp.ones((length, length), bool)
    seen = (jnp.tril(seen) if causal else seen)[None, None]
    if valid is not None:
        keys = jnp.broadcast_to(valid[..., 0], q.shape[:2])
        # Every position sees itself: of nothing at all, the softmax is NaN.
        seen = seen & (keys[:, None, None, :] | jnp.eye(length, dtype=bool)[None, None])
    scores = jnp.einsum("bthd,bshd->bhts", q, k).astype(wide)
    scores = scores * jnp.asarray(1 / math.sqrt(q.shape[-1]), wide)
    weights = jax.nn.softmax(jnp.where(seen, scores, -jnp.inf)).astype(v.dtype)
    return jnp.einsum("bhts,bshd->bthd", weights, v)


def plain_block(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    """A pre-norm block of one head without options, causal.

    Args:
      params: of ``transformer_block``.
      x: ``(B, T, features)``.

    Returns:
      The output of the block.
    """

    def norm(module: str, x: jax.Array) -> jax.Array:
        z = normalized(x, 1e-6, centred=True)
        z = z * along(params[f"{module}_norm_scale"], z)
        return z + along(params[f"{module}_norm_bias"], z)

    def dense(name: str, x: jax.Array) -> jax.Array:
        return x @ params[name] + along(params[f"{name}_bias"], x)

    q, k, v = jnp.split(dense("qkv", norm("attention", x)), 3, axis=-1)
    scores = jnp.einsum("btd,bsd->bts", q, k) / jnp.sqrt(
        jnp.asarray(q.shape[-1], x.dtype)
    )
    later = ~jnp.tril(jnp.ones(scores.shape[-2:], bool))[None]
    seen = jax.nn.softmax(jnp.where(later, -jnp.inf, scores))
    x = x + dense("attention_out", jnp.einsum("bts,bsd->btd", seen, v))
    return x + dense("mlp_out", jax.nn.gelu(dense("mlp_in", norm("mlp", x))))
