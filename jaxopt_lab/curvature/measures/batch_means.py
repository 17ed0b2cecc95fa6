"""Losses and gradients of batches, and their means over a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import Batch, PyTree
from jaxopt_lab.curvature.operators import vector_trees
from jaxopt_lab.curvature.operators.blocks import Point
from jaxopt_lab.curvature.operators.dataset import check_batches
from jaxopt_lab.curvature.operators.products import HessianProduct, Weights, weights_of


class Estimate(NamedTuple):
    """A mean over draws, with its error.

    Attributes:
      value: scalar, the mean.
      standard_error: scalar, its standard deviation from the spread of the draws; NaN
        for a single draw.
      draws: their number, int32.
    """

    value: Array
    standard_error: Array
    draws: Array


def estimate(values: Array, weights: Array | None = None) -> Estimate:
    r"""Weighted mean of independent draws, and its standard error.

    .. math::
        m = \frac{\sum_i w_i x_i}{\sum_i w_i}, \quad
        s^2 = \frac{n}{n - 1} \frac{\sum_i w_i^2 (x_i - m)^2}{(\sum_i w_i)^2}.

    Args:
      values: ``(n,)``.
      weights: ``(n,)``, not negative; a draw of weight 0 does not count. Default: 1.

    Returns:
      The estimate, with equal weights the usual one; the value 0 where no draw
      counts.
    """
    weights = jnp.ones_like(values) if weights is None else weights.astype(values.dtype)
    total = jnp.sum(weights)
    mean = trees.safe_divide(jnp.sum(weights * values), total)
    share = trees.safe_divide(weights, total)
    draws = jnp.sum(weights > 0, dtype=jnp.int32)
    n = draws.astype(values.dtype)
    spread = jnp.sum((share * (values - mean)) ** 2) * trees.safe_divide(n, n - 1)
    error = jnp.where(draws > 1, trees.safe_sqrt(spread), jnp.nan)
    return Estimate(mean, error, draws)


def _loss(loss_fn: Callable[[Any, Batch], Array], point: Point, batch: Batch) -> Any:
    def loss(free: PyTree) -> Array:
        value = loss_fn(point.merge(free), batch)
        if jnp.shape(value) != ():
            raise InputError(
                "the loss must be a scalar, a mean over the examples; got shape "
                f"{jnp.shape(value)}"
            )
        return value

    return loss


def _weight(example_weights: Weights, batch: Batch) -> Array:
    return jnp.sum(weights_of(example_weights, batch))


@partial(jax.jit, static_argnums=(0, 1))
def batch_loss(
    loss_fn: Callable[[Any, Batch], Array],
    example_weights: Weights,
    point: Point,
    batch: Batch,
) -> tuple[Array, Array]:
    """Loss of a batch, and its weight.

    Args:
      loss_fn: ``loss_fn(params, batch)``, a mean over the examples.
      example_weights: see ``hessian``.
      point: the parameters.
      batch: the batch.

    Returns:
      ``(loss, weight)``, scalars.
    """
    value = _loss(loss_fn, point, batch)(point.free)
    wide = value.astype(trees.accumulation_dtype(value.dtype))
    return wide, _weight(example_weights, batch)


@partial(jax.jit, static_argnums=(0, 1))
def batch_value_and_grad(
    loss_fn: Callable[[Any, Batch], Array],
    example_weights: Weights,
    point: Point,
    batch: Batch,
) -> tuple[tuple[Array, PyTree], Array]:
    """Loss and gradient of a batch, and its weight.

    Args:
      loss_fn: ``loss_fn(params, batch)``, a mean over the examples.
      example_weights: see ``hessian``.
      point: the parameters.
      batch: the batch.

    Returns:
      ``((loss, gradient), weight)``; the gradient is like ``point.free``.
    """
    value, grads = jax.value_and_grad(_loss(loss_fn, point, batch))(point.free)
    wide = value.astype(trees.accumulation_dtype(value.dtype))
    return (wide, grads), _weight(example_weights, batch)


@partial(jax.jit, static_argnums=(0, 1))
def batch_rayleigh(
    loss_fn: Callable[[Any, Batch], Array],
    example_weights: Weights,
    point: Point,
    batch: Batch,
) -> tuple[tuple[Array, Array], Array]:
    """Curvature of a batch's loss along its own gradient.

    Args:
      loss_fn: ``loss_fn(params, batch)``, a mean over the examples.
      example_weights: see ``hessian``.
      point: the parameters.
      batch: the batch.

    Returns:
      ``((g^T H g / |g|^2, |g|), weight)``, scalars.
    """
    product = HessianProduct(example_weights=example_weights, loss_fn=loss_fn)
    grads = jax.grad(_loss(loss_fn, point, batch))(point.free)
    # Along the unit vector: the square of a small gradient would underflow.
    along, norm = vector_trees.unit(grads)
    curved = trees.dot(along, product(point, batch, along))
    return (curved, norm), product.weight(batch)


_scaled = jax.jit(vector_trees.scale)
_added = jax.jit(vector_trees.add_scaled, donate_argnums=0)
_divided = jax.jit(vector_trees.divided)


def each_batch(
    fn: Callable[[Batch], tuple[PyTree, Array]], batches: Iterable[Batch]
) -> list[tuple[PyTree, Array]]:
    """``fn`` of every batch, one after the other from the host.

    Args:
      fn: gives a value and a weight.
      batches: a list, or an object that can be iterated repeatedly.

    Returns:
      The results of ``fn``.

    Raises:
      InputError: ``batches`` is exhausted by one pass, a single batch, or empty.
    """
    check_batches(batches)
    found = [fn(batch) for batch in batches]
    if not found:
        raise InputError("batches must hold at least one batch; got none")
    return found


def mean_over_batches(
    fn: Callable[[Batch], tuple[PyTree, Array]], batches: Iterable[Batch]
) -> PyTree:
    """Mean over the examples of all batches, one sum in memory at a time.

    Args:
      fn: gives the mean over a batch's examples, and the batch's weight.
      batches: a list, or an object that can be iterated repeatedly.

    Returns:
      The weighted mean, like the values.

    Raises:
      InputError: ``batches`` is exhausted by one pass, a single batch, or empty.
    """
    check_batches(batches)
    total, weights = None, None
    for batch in batches:
        value, weight = fn(batch)
        if total is None or weights is None:
            total, weights = _scaled(weight, value), weight
        else:
            total, weights = _added(total, weight, value), weights + weight
    if total is None:
        raise InputError("batches must hold at least one batch; got none")
    return _divided(total, weights)


def data_loss(
    loss_fn: Callable[[Any, Batch], Array],
    point: Point,
    batches: Iterable[Batch],
    example_weights: Weights = None,
) -> Array:
    """The mean loss over all examples.

    Args:
      loss_fn: ``loss_fn(params, batch)``, a mean over the examples.
      point: the parameters.
      batches: a list, or an object that can be iterated repeatedly.
      example_weights: see ``hessian``.

    Returns:
      Scalar, float32 or better.
    """
    here = partial(batch_loss, loss_fn, example_weights, point)
    return mean_over_batches(here, batches)
