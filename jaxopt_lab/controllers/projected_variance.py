"""Variances along the mean gradient and at right angles to it, for batch-size rules."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.typing import Batch, Params, PyTree, Updates


def inner_products(
    example_losses: Callable[[Params, Batch], Array],
    params: Params,
    batch: Batch,
    direction: Updates,
) -> Array:
    r"""The inner products :math:`\langle g_i, d \rangle` of all examples' gradients.

    Args:
      example_losses: ``example_losses(params, batch) -> (examples,)``.
      params: the parameters.
      batch: the examples.
      direction: d, such as the mean gradient.

    Returns:
      ``(examples,)``. One pass in forward mode: no gradient of an example is stored.

    >>> losses = lambda w, x: x * w
    >>> found = inner_products(losses, jnp.array(1.0), jnp.array([1.0, 3.0]),
    ...                        jnp.array(2.0))
    >>> found.tolist()
    [2.0, 6.0]
    """
    return jax.jvp(lambda p: example_losses(p, batch), (params,), (direction,))[1]


def projected_variances(
    squared_norms: Array,
    products: Array,
    grad_norm_sq: Array | float,
    *,
    size: int = 1,
    axis_name: str | None = None,
) -> dict[str, Array]:
    r"""Statistics of the norm, inner-product and augmented tests from sums.

    With n gradients :math:`g_i` of ``size`` examples each (1: of single examples; more:
    the micro-gradients of an accumulation), whose mean is :math:`\bar g`,

    .. math::
        |\mathrm{var}|_1 &= s \, \frac{\sum_i |g_i|^2 - n |\bar g|^2}{n - 1}, \\
        \mathrm{Var}_i \langle g_i, \bar g \rangle &= s \,
            \frac{\sum_i (\langle g_i, \bar g \rangle - |\bar g|^2)^2}{n - 1}, \\
        \sum \mathrm{Var}_i (g_i - \Pi g_i) &= s \, \frac{\sum_i \left(|g_i|^2 -
            \langle g_i, \bar g \rangle^2 / |\bar g|^2\right)}{n - 1}.

    Args:
      squared_norms: :math:`|g_i|^2`, ``(n,)``, this device's.
      products: :math:`\langle g_i, \bar g \rangle`, ``(n,)`` (``inner_products``).
      grad_norm_sq: :math:`|\bar g|^2`, of the mean over all devices.
      size: s, examples of each gradient.
      axis_name: axis over which the gradients are divided; two scalars and a count
        cross the devices.

    Returns:
      ``{"variance", "inner_variance", "orthogonal_variance", "grad_norm_sq"}``,
      scalars; variances of a single example, never below 0, 0 for one gradient.

    Raises:
      InputError: the first two are no vectors of one length.

    >>> grads = jnp.array([[3.0, 1.0], [1.0, -1.0]])  # their mean is (2, 0)
    >>> found = projected_variances(jnp.sum(grads**2, 1), 2 * grads[:, 0], 4.0)
    >>> {name: float(x) for name, x in found.items() if name != "grad_norm_sq"}
    {'variance': 4.0, 'inner_variance': 8.0, 'orthogonal_variance': 2.0}
    """
    shapes = jnp.shape(squared_norms), jnp.shape(products)
    if shapes[0] != shapes[1] or len(shapes[0]) != 1:
        raise InputError(
            "squared_norms and products must be vectors of one length; got shapes "
            f"{shapes[0]} and {shapes[1]}"
        )
    squares = jnp.asarray(squared_norms)
    dtype = trees.accumulation_dtype(squares.dtype)
    squares, along = squares.astype(dtype), jnp.asarray(products).astype(dtype)
    square = jnp.asarray(grad_norm_sq, dtype)
    apart = along - square
    length = jnp.broadcast_to(trees.safe_sqrt(square), along.shape)
    share = trees.safe_divide(along, length)
    sums = [jnp.sum(squares), jnp.sum(apart * apart), jnp.sum(share * share)]
    count = jnp.asarray(squares.size, dtype)
    if axis_name is not None:
        *sums, count = jax.lax.psum((*sums, count), axis_name)
    norms, inner, projected = sums
    factor = jnp.asarray(size, dtype) / jnp.maximum(count - 1, 1)
    # Differences may fall below zero by a rounding; NaN stays.
    positive = lambda x: factor * jnp.maximum(x, 0)
    return {
        "variance": positive(norms - count * square),
        "inner_variance": factor * inner,
        "orthogonal_variance": positive(norms - projected),
        "grad_norm_sq": square,
    }


def coordinate_ratio(
    means: PyTree, mean_squares: PyTree, count: int | Array, *, size: int = 1
) -> Array:
    r"""The largest variance of an entry over its squared mean, of single examples.

    .. math:: \max_j \, s \, \frac{n}{n - 1}
        \frac{\overline{g_j^2} - \bar g_j^2}{\bar g_j^2}, \quad 0 / 0 = 0.

    Args:
      means: tree of the means :math:`\bar g` over n gradients.
      mean_squares: tree of the means of their squares, entry by entry.
      count: n, at least 2; of a traced 1 the ratio is 0.
      size: s, examples of each gradient: micro-gradients of an accumulation will do.

    Returns:
      A scalar; infinite for an entry of mean 0 that varies.

    Raises:
      InputError: the trees differ, or ``count`` is below 2.

    Memory: one tree like the parameters, for the squares.

    >>> float(coordinate_ratio(jnp.array([2.0, 0.0]), jnp.array([5.0, 0.0]), 2))
    0.5
    """
    if jax.tree.structure(means) != jax.tree.structure(mean_squares):
        raise InputError("means and mean_squares must be trees of one structure")
    number = known_number(count)
    if number is not None and number < 2:
        raise InputError(f"count must be at least 2; got {count}")

    def largest(mean: Array, squares: Array) -> Array:
        mean = jnp.asarray(mean)
        dtype = trees.accumulation_dtype(mean.dtype)
        square = mean.astype(dtype) ** 2
        n = jnp.asarray(count, dtype)
        factor = jnp.asarray(size, dtype) * n / jnp.maximum(n - 1, 1)
        variance = factor * jnp.maximum(jnp.asarray(squares).astype(dtype) - square, 0)
        ratio = variance / jnp.where(square == 0, 1, square)
        beside = jnp.where(variance == 0, 0, jnp.inf).astype(dtype)
        return jnp.max(jnp.where(square == 0, beside, ratio), initial=0)

    found = jax.tree.leaves(jax.tree.map(largest, means, mean_squares))
    if not found:
        return jnp.zeros(())
    widest = jnp.result_type(*found)
    return jnp.max(jnp.stack([x.astype(widest) for x in found]))
