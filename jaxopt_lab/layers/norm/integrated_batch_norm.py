"""Batch normalization whose statistics join all levels of a pyramid (SEPC)."""

from __future__ import annotations

import math
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.functional import Call, Functional, stateful_layer
from jaxopt_lab.core.options import COUNT, POSITIVE, STATIC, UNIT, check_arguments
from jaxopt_lab.core.statistics import batch_statistics
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import ModelState, Params
from jaxopt_lab.layers.levels import Levels, checked_levels
from jaxopt_lab.layers.masks import without_padding
from jaxopt_lab.layers.norm.last_axis import along
from jaxopt_lab.layers.norm.running import (
    after_batch,
    first_running,
    normalized_affine,
    padded,
)


def integrated_batch_norm(
    features: Annotated[int, COUNT],
    *,
    momentum: Annotated[float, UNIT] = 0.1,
    eps: Annotated[float, POSITIVE, STATIC] = 1e-5,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""One batch normalization of all levels of a pyramid.

    With the levels :math:`x_0 \ldots x_{L-1}` of a head whose weights they share,

    .. math::
        y_l = g \odot \frac{x_l - \mu}{\sqrt{\sigma^2 + \epsilon}} + b, \quad
        \mu = \frac{\sum_l \sum_p x_{l,p}}{\sum_l n_l}, \quad
        \sigma^2 = \frac{\sum_l \sum_p (x_{l,p} - \mu)^2}{\sum_l n_l},

    over examples and positions p: that of the concatenation of all pixels, in which a
    level counts by its pixels, and not a mean over levels. The running statistics
    follow alike, with the variance of ddof 1, and normalize in evaluation. One level
    is plain batch normalization.

    Args:
      features: size of the last axes.
      momentum: the fraction of the running statistics that is new (torch's
        convention).
      eps: :math:`\epsilon`, above 0.
      param_dtype: type of parameters and statistics.

    Returns:
      ``init(key=None) -> ({"scale", "bias"}, {"mean", "var"})`` and ``apply(params,
      state, levels, *, train, key=None, axis_name=None, mask=None) -> (levels,
      state)``: a tuple of ``(B, ..., features)``, each of any floating type and size,
      which the output has too; the statistics are float32, float64 for float64.
      ``mask``: 0 for padding, which counts in no statistic and gives 0; of the first
      axes of every level, ``(B,)``, or a tuple of one for each. ``axis_name``: the
      batch is divided over this axis, and statistics join devices and levels. Kept for
      the gradient: two arrays of the size of the levels. Differentiable to any
      order, at constant levels too.

    Raises:
      InputError: an argument is out of range; at the call, the levels do not fit.

    A bias of a convolution right before it changes the output only where a level has
    no neighbour whose convolution would bring its own.

    Source: Wang et al., "Scale-Equalizing Pyramid Convolution for Object Detection",
    2020 (https://arxiv.org/abs/2005.03101) and its code (jshilong/SEPC).

    >>> norm = integrated_batch_norm(1)
    >>> levels = jnp.zeros((1, 4, 1)), jnp.array([[[5.0]]])
    >>> y, state = norm.apply(*norm.init(), levels, train=True)
    >>> [level.ravel().round(3).tolist() for level in y]  # mean 1, variance 4
    [[-0.5, -0.5, -0.5, -0.5], [2.0]]
    """
    check_arguments(integrated_batch_norm, locals())

    def init(key: jax.Array | None = None) -> tuple[Any, Any]:
        ones = jnp.ones(features, param_dtype)
        params = {"scale": ones, "bias": jnp.zeros(features, param_dtype)}
        return params, first_running(features, param_dtype)

    def apply(
        params: Params, state: ModelState, x: Levels, call: Call
    ) -> tuple[tuple[jax.Array, ...], ModelState]:
        levels, valids = checked_levels("integrated_batch_norm", x, features, call.mask)
        wide = accumulation_dtype(jnp.result_type(*levels))
        z = _joined(
            [
                without_padding(level.astype(wide), v)
                for level, v in zip(levels, valids, strict=True)
            ]
        )
        if call.train:
            weights = None
            if any(valid is not None for valid in valids):
                weights = _joined(
                    [_counts(*pair) for pair in zip(levels, valids, strict=True)]
                )
            found = batch_statistics(
                z, (0, 1), weights=weights, axis_name=call.axis_name
            )
            mean, var = found.mean, found.var
            state = after_batch(state, found, momentum, ddof=1)
        else:
            mean, var = (along(state[n], z) for n in ("mean", "var"))
        y = normalized_affine(z, mean, var, params, eps)
        ends = [math.prod(level.shape[1:-1]) for level in levels]
        ends = [sum(ends[: i + 1]) for i in range(len(ends) - 1)]
        parts = jnp.split(y, ends, axis=1)
        return tuple(
            padded(part.reshape(level.shape), valid, level.dtype)
            for part, level, valid in zip(parts, levels, valids, strict=True)
        ), state

    return stateful_layer(init, apply)


def _joined(levels: list[jax.Array]) -> jax.Array:
    """All positions of all levels in one axis, ``(B, N, features)``."""
    flat = [
        x.reshape(x.shape[0], math.prod(x.shape[1:-1]), x.shape[-1]) for x in levels
    ]
    return jnp.concatenate(flat, axis=1)


def _counts(level: jax.Array, valid: jax.Array | None) -> jax.Array:
    shape = (*level.shape[:-1], 1)
    return jnp.ones(shape, bool) if valid is None else jnp.broadcast_to(valid, shape)


def joint_batch_norm(params: dict[str, jax.Array], x: Levels) -> tuple[jax.Array, ...]:
    """The pixels of all levels through flax's batch normalization, in training.

    Args:
      params: of ``integrated_batch_norm``.
      x: its levels.

    Returns:
      Its output at the default ``eps``.

    >>> level = jnp.array([[[1.0], [3.0]]])
    >>> params = {"scale": jnp.ones(1), "bias": jnp.zeros(1)}
    >>> [y.ravel().round(3).tolist() for y in joint_batch_norm(params, (level,))]
    [[-1.0, 1.0]]
    """
    from flax import linen

    rows = jnp.concatenate(
        [level.reshape(math.prod(level.shape[:-1]), level.shape[-1]) for level in x]
    )
    module = linen.BatchNorm(
        use_running_average=False,
        use_fast_variance=False,
        epsilon=1e-5,
        param_dtype=rows.dtype,
        force_float32_reductions=False,
    )
    state = {n: jnp.zeros(rows.shape[1], rows.dtype) for n in ("mean", "var")}
    y = module.apply(
        {"params": params, "batch_stats": state}, rows, mutable=["batch_stats"]
    )[0]
    sizes = [math.prod(level.shape[:-1]) for level in x]
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes) - 1)]
    parts = jnp.split(y, ends)
    return tuple(p.reshape(level.shape) for p, level in zip(parts, x, strict=True))
