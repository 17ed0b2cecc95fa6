"""Means and variances of batches: weighted, over an axis of devices, in sequence.

All are sums over sums of weights: over an axis of devices the sums are added, never the
means averaged, so that devices with more padding count for less.
"""
# Its examples wait for pytest --full.

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.trees import accumulation_dtype

Axes = int | Sequence[int]


class Statistics(NamedTuple):
    """Mean and variance of a batch, and the number of values they are taken over.

    Attributes:
      mean: with the reduced axes of size 1; float32, float64 for float64.
      var: likewise, of the asked ``ddof``.
      count: the sum of the weights, broadcastable to ``mean``; 0 where there is none.
    """

    mean: jax.Array
    var: jax.Array
    count: jax.Array


def batch_mean(
    x: jax.Array,
    axis: Axes,
    *,
    weights: jax.Array | None = None,
    axis_name: str | None = None,
) -> tuple[jax.Array, jax.Array]:
    r"""The weighted mean of an array over some of its axes, and the sum of the weights.

    .. math:: \mu = \frac{\sum_i w_i x_i}{\sum_i w_i}, \text{ and } 0
        \text{ where no weight is above } 0.

    Args:
      x: real floating array.
      axis: the axes to reduce.
      weights: not negative, or booleans, broadcastable to ``x``; what has the weight 0
        may hold anything, NaN too. ``None``: all 1.
      axis_name: axis of devices over which the sums are added; ``None``: none.

    Returns:
      ``(mean, count)``, reduced axes of size 1, float32 (float64 for float64).

    Memory: none beyond the sums. Differentiable to any order; what has the weight 0 has
    the derivative 0.

    >>> batch_mean(jnp.array([1.0, 3.0, 8.0]), 0, weights=jnp.array([1, 1, 0]))[0]
    Array([2.], dtype=float32)
    """
    wide = accumulation_dtype(x.dtype)
    axes = _axes(axis, x.ndim)
    w = None if weights is None else _weights(weights, x, wide)
    return _mean(_visible(x.astype(wide), w), axes, w, axis_name)


def _visible(z: jax.Array, w: jax.Array | None) -> jax.Array:
    """0 where the weight is: 0 times NaN is NaN, in a sum and in its derivative."""
    return z if w is None else jnp.where(w > 0, z, 0)


def _mean(
    z: jax.Array, axes: tuple[int, ...], w: jax.Array | None, axis_name: str | None
) -> tuple[jax.Array, jax.Array]:
    """``batch_mean`` of values that are finite where their weight is 0."""
    if w is None:
        total = jnp.sum(z, axis=axes, keepdims=True)
        devices = 1 if axis_name is None else jax.lax.axis_size(axis_name)
        count = math.prod(z.shape[a] for a in axes) * devices
        if axis_name is not None:
            total = jax.lax.psum(total, axis_name)
        # True division: the reciprocal of the count would be rounded.
        number = jnp.full((1,) * z.ndim, count, z.dtype)
        return total / jnp.maximum(number, 1), number
    total = jnp.sum(z * w, axis=axes, keepdims=True)
    number = _sum_of_weights(w, axes, z.shape)
    if axis_name is not None:
        total, number = jax.lax.psum((total, number), axis_name)
    return total / jnp.where(number > 0, number, 1), number


def batch_statistics(
    x: jax.Array,
    axis: Axes,
    *,
    weights: jax.Array | None = None,
    axis_name: str | None = None,
    ddof: int = 0,
    about: jax.Array | None = None,
    fast_variance: bool = False,
) -> Statistics:
    r"""Weighted mean and variance of an array over some of its axes.

    .. math:: \mu = \frac{\sum_i w_i x_i}{n}, \quad
        \sigma^2 = \frac{\sum_i w_i (x_i - \mu)^2}{n - \text{ddof}}, \quad
        n = \sum_i w_i,

    in two passes over the data. Where n is not above ``ddof`` the variance is 0.

    Args:
      x: real floating array.
      axis: the axes to reduce.
      weights: as of ``batch_mean``.
      axis_name: axis of devices over which the sums are added; ``None``: none.
      ddof: 0, the variance of the batch; 1, the unbiased one.
      about: the point that the variance is taken about, broadcastable to the mean;
        ``None``: the mean.
      fast_variance: the mean of squares minus the square of the mean: one pass and one
        sum over the devices, and no digit is left where the mean is over a thousand
        times the deviation (float32).

    Returns:
      ``Statistics``. Differentiable to any order.

    >>> found = batch_statistics(jnp.array([[1.0], [3.0]]), 0, ddof=1)
    >>> float(found.mean[0, 0]), float(found.var[0, 0]), float(found.count[0, 0])
    (2.0, 2.0, 2.0)
    """
    wide = accumulation_dtype(x.dtype)
    axes = _axes(axis, x.ndim)
    w = None if weights is None else _weights(weights, x, wide)
    z = _visible(x.astype(wide), w)
    if fast_variance and about is None:
        both = jnp.stack([z, jnp.square(z)])
        axes = tuple(a + 1 for a in axes)
        found, count = _mean(both, axes, None if w is None else w[None], axis_name)
        mean, count = found[0], count[0]
        var = jnp.maximum(found[1] - jnp.square(mean), 0)
    else:
        mean, count = _mean(z, axes, w, axis_name)
        # The variance about any constant is that about the mean plus the square of
        # their distance, so that the derivatives of all orders are those of the
        # variance; with the mean for the constant nothing is subtracted, and the
        # gradient needs no sum over the deviations.
        point = jax.lax.stop_gradient(mean) if about is None else about.astype(wide)
        var, _ = _mean(jnp.square(z - point), axes, w, axis_name)
        if about is None:
            var = var - jnp.square(mean - point)
    return Statistics(mean, with_ddof(var, count, ddof), count)


def pooled(
    parts: Statistics, axis: Axes, *, axis_name: str | None = None
) -> Statistics:
    r"""The statistics of a whole from those of its parts, of ddof 0.

    .. math:: \mu = \frac{\sum_i n_i \mu_i}{\sum_i n_i}, \quad
        \sigma^2 = \frac{\sum_i n_i (\sigma_i^2 + (\mu_i - \mu)^2)}{\sum_i n_i},

    a sum of terms that are not negative: no digits are lost. Over the examples of a
    batch it spares the passes over the data, and other weights of the examples are
    other counts.

    Args:
      parts: of ddof 0.
      axis: the axes of the parts.
      axis_name: axis of devices over which the sums are added; ``None``: none.

    Returns:
      ``Statistics``. Differentiable to any order.

    >>> parts = batch_statistics(jnp.array([[1.0, 3.0], [4.0, 8.0]]), 1)
    >>> found = pooled(parts, 0)
    >>> float(found.mean[0, 0]), float(found.var[0, 0]), float(found.count[0, 0])
    (4.0, 6.5, 4.0)
    """
    axes = _axes(axis, parts.mean.ndim)
    shape = parts.mean.shape
    n = jnp.broadcast_to(parts.count, (*shape[:-1], parts.count.shape[-1]))
    mean, count = _mean(parts.mean, axes, n, axis_name)
    point = jax.lax.stop_gradient(mean)
    spread = parts.var + jnp.square(parts.mean - point)
    var = _mean(spread, axes, n, axis_name)[0] - jnp.square(mean - point)
    return Statistics(mean, var, count)


def with_ddof(var: jax.Array, count: jax.Array, ddof: int = 1) -> jax.Array:
    """A variance of ddof 0 as one of another ddof.

    Args:
      var: of ddof 0.
      count: the number of values, or the sum of their weights.
      ddof: the degrees of freedom that the mean has taken.

    Returns:
      The variance; as it was where there are not more values than that.

    >>> float(with_ddof(jnp.array(1.0), jnp.array(2.0)))
    2.0
    """
    if ddof == 0:
        return var
    rest = count - jnp.asarray(ddof, count.dtype)
    return var * count / jnp.where(rest > 0, rest, jnp.where(count > 0, count, 1))


def moved(old: jax.Array, new: jax.Array, count: jax.Array, momentum: Any) -> jax.Array:
    r"""A running statistic after one batch, :math:`s \gets (1 - m) s + m s_b`.

    Args:
      old: :math:`s`; its shape and type are kept.
      new: :math:`s_b`, with as many numbers.
      count: of the batch; a batch of padding alone changes nothing.
      momentum: :math:`m`, the fraction that is new.

    Returns:
      The running statistic.

    >>> found = moved(jnp.zeros(1), jnp.ones((1, 1)), jnp.array([[4.0]]), 0.25)
    >>> found.tolist()
    [0.25]
    """
    fresh = jnp.where(count > 0, jnp.asarray(momentum, new.dtype), 0)
    before = old.astype(new.dtype).reshape(new.shape)
    return ((1 - fresh) * before + fresh * new).reshape(old.shape).astype(old.dtype)


def moved_in_sequence(
    old: jax.Array,
    new: jax.Array,
    count: jax.Array,
    momentum: Any,
    *,
    axis_name: str | None = None,
) -> jax.Array:
    """A running statistic after one part of a batch after another.

    Args:
      old: the running statistic; its shape and type are kept.
      new: statistics of the parts, in order along the first axis.
      count: of each part, broadcastable to them; parts of padding alone change nothing.
      momentum: the fraction that is new.
      axis_name: the parts of each device of this axis follow those of the device
        before.

    Returns:
      The running statistic, in closed form: a part that ``n`` others come behind counts
      by ``(1 - m) ** n * m``.

    >>> parts, counts = jnp.array([[1.0], [2.0]]), jnp.ones((2, 1))
    >>> float(moved_in_sequence(jnp.zeros(1), parts, counts, 0.5)[0])
    1.25
    """
    count = jnp.broadcast_to(count, new.shape)
    new, count = (x.reshape(x.shape[0], *old.shape) for x in (new, count))
    if axis_name is not None:
        new, count = (_gathered(x, axis_name) for x in (new, count))
    fresh = jnp.where(count > 0, jnp.asarray(momentum, new.dtype), 0)
    kept = jnp.cumprod(jnp.flip(1 - fresh, 0), axis=0)
    # The factor of a part for all that come behind it.
    later = jnp.flip(jnp.concatenate([jnp.ones_like(kept[:1]), kept[:-1]]), 0)
    total = old.astype(new.dtype) * kept[-1] + jnp.sum(fresh * later * new, axis=0)
    return total.astype(old.dtype)


def require_values(
    layer: str, x: jax.Array, axis: Axes, axis_name: str | None = None
) -> None:
    """Refuse a batch of one value, whose variance is 0 whatever it is.

    Args:
      layer: name of the layer, for the message.
      x: the input.
      axis: the axes that the statistics are taken over.
      axis_name: axis of devices over which the batch is divided.

    Raises:
      InputError: there are not two values.
    """
    devices = 1 if axis_name is None else jax.lax.axis_size(axis_name)
    count = math.prod(x.shape[a] for a in _axes(axis, x.ndim)) * devices
    if count < 2:
        raise InputError(
            f"{layer} takes its statistics over at least two values of a feature in "
            f"training; got an input of shape {x.shape}, {count} of each"
        )


def _axes(axis: Axes, ndim: int) -> tuple[int, ...]:
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    return tuple(sorted(a % ndim for a in axes))


def _weights(weights: jax.Array, x: jax.Array, wide: Any) -> jax.Array:
    """The weights with as many axes as ``x``, constant to the gradient if booleans."""
    w = jnp.asarray(weights).astype(wide)
    return w.reshape((1,) * (x.ndim - w.ndim) + w.shape)


def _sum_of_weights(
    w: jax.Array, axes: tuple[int, ...], shape: tuple[int, ...]
) -> jax.Array:
    """Their sum over the axes, each as often as it stands for a value there."""
    repeats = math.prod(shape[a] for a in axes if w.shape[a] == 1)
    total = jnp.sum(w, axis=axes, keepdims=True)
    return total * jnp.asarray(repeats, w.dtype)


def _gathered(x: jax.Array, axis_name: str) -> jax.Array:
    """The parts of all devices in order, known to be the same on each of them."""
    devices, i = jax.lax.axis_size(axis_name), jax.lax.axis_index(axis_name)
    whole = jnp.zeros((devices, *x.shape), x.dtype).at[i].set(x)
    return jax.lax.psum(whole, axis_name).reshape(-1, *x.shape[1:])
