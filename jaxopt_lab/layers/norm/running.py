"""Running statistics of one feature each, and the form that normalizes by them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.statistics import (
    Statistics,
    batch_mean,
    batch_statistics,
    moved,
    with_ddof,
)
from jaxopt_lab.layers.masks import without_padding
from jaxopt_lab.layers.norm.last_axis import along


def first_running(features: int, param_dtype: DTypeLike) -> dict[str, jax.Array]:
    """Running mean 0 and variance 1 of each feature.

    Args:
      features: how many.
      param_dtype: their type.

    Returns:
      ``{"mean", "var"}``.

    >>> sorted(first_running(2, jnp.float32))
    ['mean', 'var']
    """
    return {
        "mean": jnp.zeros(features, param_dtype),
        "var": jnp.ones(features, param_dtype),
    }


def after_batch(
    state: dict[str, jax.Array], found: Statistics, momentum: Any, *, ddof: int = 0
) -> dict[str, jax.Array]:
    """The running statistics after one batch.

    Args:
      state: ``{"mean", "var"}`` or one of them.
      found: statistics of the batch, of ddof 0.
      momentum: the fraction that is new.
      ddof: of the variance that is stored.

    Returns:
      The new ones; a batch of padding alone changes nothing.
    """
    new = {"mean": found.mean, "var": with_ddof(found.var, found.count, ddof)}
    return {n: moved(s, new[n], found.count, momentum) for n, s in state.items()}


def affine(y: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
    """``y * scale + bias`` along the features, in the type of ``y``.

    Args:
      y: ``(..., features)``.
      scale: ``(features,)``.
      bias: ``(features,)``.

    Returns:
      As ``y``.

    >>> affine(jnp.ones((1, 2)), jnp.array([2.0, 3.0]), jnp.ones(2)).tolist()
    [[3.0, 4.0]]
    """
    return y * along(scale, y) + along(bias, y)


def centred_affine(
    z: jax.Array,
    mean: jax.Array,
    factor: jax.Array,
    bias: jax.Array,
    about: jax.Array | None = None,
) -> jax.Array:
    """``(z - mean) * factor + bias``, with two sums over ``z`` in its gradient.

    Any constant may be subtracted from both ``z`` and the mean; with a value near the
    mean for it no digits are lost, and the gradient of the mean is made of that of the
    bias, without a third sum.

    Args:
      z: of the type of the statistics.
      mean: broadcastable to ``z``.
      factor: likewise.
      bias: likewise.
      about: the constant, likewise; of the means of examples whose variances are taken,
        the differences exist already. ``None``: the mean.

    Returns:
      As ``z``. Differentiable to any order.

    >>> z, mean = jnp.array([[1.0], [3.0]]), jnp.array([[2.0]])
    >>> centred_affine(z, mean, jnp.array([[2.0]]), jnp.array([[1.0]])).tolist()
    [[-1.0], [3.0]]
    """
    point = jax.lax.stop_gradient(mean if about is None else about)
    return (z - point) * factor + (bias + (point - mean) * factor)


def normalized_affine(
    z: jax.Array,
    mean: jax.Array,
    var: jax.Array,
    params: dict[str, jax.Array],
    eps: float,
    about: jax.Array | None = None,
) -> jax.Array:
    r"""The form of batch normalization, :math:`g (z - \mu) / \sqrt{\sigma^2 + \epsilon}
    + b`.

    Args:
      z: of the type of the statistics.
      mean: :math:`\mu`, broadcastable to ``z``.
      var: :math:`\sigma^2`, likewise.
      params: ``{"scale", "bias"}``, g and b of each feature.
      eps: :math:`\epsilon`, above 0.
      about: as of ``centred_affine``.

    Returns:
      As ``z``.
    """
    factor = jax.lax.rsqrt(var + jnp.asarray(eps, z.dtype)) * along(params["scale"], z)
    return centred_affine(z, mean, factor, along(params["bias"], z), about)


def padded(y: jax.Array, valid: jax.Array | None, dtype: DTypeLike) -> jax.Array:
    """A result of a type, 0 where there is padding.

    Args:
      y: the result in the type of the statistics.
      valid: booleans of ``over_features``, or None.
      dtype: of the input.

    Returns:
      The output of the layer.
    """
    return without_padding(y, valid).astype(dtype)


def in_groups(
    z: jax.Array,
    groups: int,
    weights: jax.Array | None,
    *,
    centred: bool = True,
) -> tuple[jax.Array, jax.Array]:
    """Mean and variance of each example over its positions and a group of features.

    Positions are reduced first, each feature by itself: an axis of a few features at
    the end of a large array is slow to reduce.

    Args:
      z: ``(B, ..., features)``, of the type of the statistics.
      groups: number of groups of consecutive features.
      weights: as of ``batch_mean``, the same for all features.
      centred: False: the mean is 0, and the variance the mean square.

    Returns:
      ``(mean, variance)``, ``(B, 1, ..., 1, features)``, the same in a group.

    >>> mean, var = in_groups(jnp.array([[[1.0, 3.0, 5.0, 5.0]]]), 2, None)
    >>> mean.ravel().tolist(), var.ravel().tolist()
    ([2.0, 2.0, 5.0, 5.0], [1.0, 1.0, 0.0, 0.0])
    """
    if not centred:
        square = batch_mean(z * z, places(z), weights=weights)[0]
        return jnp.zeros((1,) * z.ndim, z.dtype), _over_group(square, groups)
    found = over_groups(batch_statistics(z, places(z), weights=weights), groups)
    return found.mean, found.var


def over_groups(parts: Statistics, groups: int) -> Statistics:
    """Statistics of single features pooled over each group of them.

    Args:
      parts: of ddof 0, the counts of all features the same.
      groups: number of groups of consecutive features.

    Returns:
      Statistics of the same shape, the same in a group; the counts are those of one
      feature.
    """
    mean = _over_group(parts.mean, groups)
    point = jax.lax.stop_gradient(mean)
    spread = _over_group(parts.var + jnp.square(parts.mean - point), groups)
    return parts._replace(mean=mean, var=spread - jnp.square(mean - point))


def _over_group(x: jax.Array, groups: int) -> jax.Array:
    apart = x.reshape(*x.shape[:-1], groups, x.shape[-1] // groups)
    mean = jnp.mean(apart, axis=-1, keepdims=True)
    return jnp.broadcast_to(mean, apart.shape).reshape(x.shape)


def places(x: jax.Array) -> tuple[int, ...]:
    """The axes between the examples and the features.

    Args:
      x: ``(B, ..., features)``.

    Returns:
      Their numbers; none for ``(B, features)``.
    """
    return tuple(range(1, x.ndim - 1))
