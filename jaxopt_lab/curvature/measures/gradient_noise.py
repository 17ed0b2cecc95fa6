"""The gradient noise scale of a data set, from batches or from single examples."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import Batch, MaskOrFn, Params, PyTree
from jaxopt_lab.curvature.measures.batch_means import (
    batch_value_and_grad,
    each_batch,
    mean_over_batches,
)
from jaxopt_lab.curvature.measures.noise_scale import NoiseScale, with_jackknife
from jaxopt_lab.curvature.operators.blocks import Point, split
from jaxopt_lab.curvature.operators.products import Weights, weights_of


@jax.jit
def _from_deviations(
    mean: PyTree, apart: Array, along: Array, sizes: Array
) -> NoiseScale:
    r"""The estimate from K mean gradients of n_k examples each.

    With :math:`d_k = g_k - \bar g`: ``mean`` :math:`\bar g`, ``apart``
    :math:`|d_k|^2`, ``along`` :math:`\langle d_k, \bar g \rangle`, ``sizes`` n_k.
    """
    square = trees.global_norm(mean) ** 2
    sizes = sizes.astype(apart.dtype)
    used, total = sizes > 0, jnp.sum(sizes)
    count = jnp.sum(used).astype(apart.dtype)
    scatter = jnp.sum(sizes * apart)
    trace = scatter / (count - 1)
    # The same without the k-th: its mean gradient is gbar - r d_k.
    rest = total - sizes
    r = trees.safe_divide(sizes, rest)
    scatters = scatter - sizes * apart * (1 + r)
    traces = scatters / (count - 2)
    squares = square - 2 * r * along + r**2 * apart - trees.safe_divide(traces, rest)
    return with_jackknife(trace, square - trace / total, traces, squares, used)


@jax.jit
def _deviation(mean: PyTree, grads: PyTree) -> tuple[Array, Array]:
    apart = jax.tree.map(jnp.subtract, grads, mean)
    return trees.dot(apart, apart), trees.dot(apart, mean)


def noise_scale(
    loss_fn: Callable[[Any, Batch], Array],
    params: Params,
    batches: Iterable[Batch],
    *,
    mask: MaskOrFn | None = None,
    example_weights: Weights = None,
) -> NoiseScale:
    r"""Noise scale from the gradients of several batches.

    With K batches of :math:`n_k` examples, N in all, and :math:`\bar g` the mean of
    their gradients over the examples,

    .. math::
        \operatorname{tr} \Sigma = \frac{1}{K-1} \sum_k n_k |g_k - \bar g|^2, \quad
        |G|^2 = |\bar g|^2 - \frac{\operatorname{tr} \Sigma}{N},

    unbiased for independent examples, whatever the sizes. For equal sizes this is
    ``two_batch_noise_scale`` between one batch and all of them.

    Args:
      loss_fn: ``loss_fn(params, batch) -> scalar``, the mean over the batch's
        examples; batch normalization frozen, dropout off.
      params: tree of parameters; those narrower than float32 are cast up.
      batches: at least two batches of random examples, three for errors: a list, or
        an object that can be iterated repeatedly.
      mask: leaves whose gradients are used. Default: all.
      example_weights: weight of every example of a batch, such as 0 for padding.

    Returns:
      The estimate.

    Raises:
      InputError: there are fewer than two batches, a mask or the batches do not fit,
        or the loss is no scalar.

    Cost: two gradients of the data set, the mean first. Memory: two gradients.
    Distances from the mean are summed, since the difference of two squares is lost in
    rounding where the noise is small.

    >>> loss = lambda w, x: jnp.mean((w - x) ** 2) / 2  # gradients w - x
    >>> batches = [jnp.array([1.0]), jnp.array([2.0]), jnp.array([6.0])]
    >>> found = noise_scale(loss, jnp.array(0.0), batches)
    >>> round(float(found.trace), 4), round(float(found.squared_norm), 4)
    (7.0, 6.6667)

    Reference: as for ``two_batch_noise_scale``.
    """
    point = split(params, mask)
    gradient = partial(_gradient, loss_fn, example_weights, point)
    mean = mean_over_batches(gradient, batches)

    def deviation(batch: Batch) -> tuple[Any, Array]:
        grads, weight = gradient(batch)
        return _deviation(mean, grads), weight

    found = each_batch(deviation, batches)
    if len(found) < 2:
        raise InputError("noise_scale needs at least 2 batches; got 1")
    apart, along = (jnp.stack([pair[i] for pair, _ in found]) for i in (0, 1))
    sizes = jnp.stack([weight for _, weight in found])
    return _from_deviations(mean, apart, along, sizes)


def _gradient(
    loss_fn: Any, example_weights: Weights, point: Point, batch: Batch
) -> tuple[PyTree, Array]:
    (_, grads), weight = batch_value_and_grad(loss_fn, example_weights, point, batch)
    return grads, weight


@partial(jax.jit, static_argnums=(0, 1))
def _example_deviations(
    loss_fn: Any, example_weights: Weights, point: Point, mean: PyTree, batch: Batch
) -> tuple[tuple[Array, Array], Array]:
    weights = weights_of(example_weights, batch)

    def one(example: Batch) -> tuple[Array, Array]:
        alone = jax.tree.map(lambda x: x[None], example)
        grads = jax.grad(lambda free: loss_fn(point.merge(free), alone))(point.free)
        return _deviation(mean, grads)

    apart, along = jax.vmap(one)(batch)
    # The loss of an example without weight may be 0 / 0.
    there = weights > 0
    return (jnp.where(there, apart, 0), jnp.where(there, along, 0)), there


def example_noise_scale(
    loss_fn: Callable[[Any, Batch], Array],
    params: Params,
    batches: Iterable[Batch],
    *,
    mask: MaskOrFn | None = None,
    example_weights: Weights = None,
) -> NoiseScale:
    r"""Noise scale from the gradient of every single example.

    ``noise_scale`` with batches of one example: the most precise estimate of a set.

    Args:
      loss_fn: as for ``noise_scale``; it is called with batches of one example too.
      params: tree of parameters; those narrower than float32 are cast up.
      batches: a list, or an object that can be iterated repeatedly. Every leaf has the
        examples along its first axis.
      mask: leaves whose gradients are used. Default: all.
      example_weights: 1 for an example that counts, 0 for padding.

    Returns:
      The estimate.

    Raises:
      InputError: a mask or the batches do not fit, or the loss is no scalar.

    Cost: a gradient of the data set, and one for each example, those of a batch at
    the same time. Memory: as many gradients as a batch has examples; use small ones.

    >>> loss = lambda w, x: jnp.mean((w - x) ** 2) / 2
    >>> found = example_noise_scale(loss, jnp.array(0.0), [jnp.array([1.0, 2.0, 6.0])])
    >>> round(float(found.trace), 4)
    7.0

    Source: as for ``two_batch_noise_scale``.
    """
    point = split(params, mask)
    mean = mean_over_batches(
        partial(_gradient, loss_fn, example_weights, point), batches
    )
    one = partial(_example_deviations, loss_fn, example_weights, point, mean)
    found = each_batch(one, batches)
    apart, along = (jnp.concatenate([pair[i] for pair, _ in found]) for i in (0, 1))
    there = jnp.concatenate([weight for _, weight in found])
    return _from_deviations(mean, apart, along, there)
