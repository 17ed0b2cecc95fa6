"""Running statistics of one feature each, and the form that normalizes by them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.statistics import Statistics, batch_mean, moved, with_ddof
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


def padded(y: jax.Array, valid: jax.Array | None, dtype: DTypeLike) -> jax.Array:
    """A result of a type, 0 where there is padding.

    Args:
      y: the result in the type of the statistics.
      valid: booleans of ``over_features``, or None.
      dtype: of the input.

    Returns:
      The output of the layer.
    """
    return (y if valid is None else jnp.where(valid, y, 0)).astype(dtype)


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
    axes = places(z)

    def over_group(x: jax.Array) -> jax.Array:
        apart = x.reshape(*x.shape[:-1], groups, x.shape[-1] // groups)
        mean = jnp.mean(apart, axis=-1, keepdims=True)
        return jnp.broadcast_to(mean, apart.shape).reshape(x.shape)

    mean = jnp.zeros((1,) * z.ndim, z.dtype)
    if centred:
        mean = over_group(batch_mean(z, axes, weights=weights)[0])
    square = batch_mean(jnp.square(z - mean), axes, weights=weights)[0]
    return mean, over_group(square)


def places(x: jax.Array) -> tuple[int, ...]:
    """The axes between the examples and the features.

    Args:
      x: ``(B, ..., features)``.

    Returns:
      Their numbers; none for ``(B, features)``.
    """
    return tuple(range(1, x.ndim - 1))
