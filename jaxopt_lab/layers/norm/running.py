"""Running statistics of one feature each, and the form that normalizes by them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.statistics import Statistics, moved, with_ddof
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


def places(x: jax.Array) -> tuple[int, ...]:
    """The axes between the examples and the features.

    Args:
      x: ``(B, ..., features)``.

    Returns:
      Their numbers; none for ``(B, features)``.
    """
    return tuple(range(1, x.ndim - 1))
