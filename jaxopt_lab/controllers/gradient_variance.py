"""The variance of gradients over the examples of a batch, for batch-size rules."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import PyTree


def gradient_variance(example_grads: PyTree) -> dict[str, Array]:
    r"""Variance and squared norm of the mean, from the gradient of every example.

    .. math::
        \bar g = \frac{1}{b} \sum_i g_i, \quad
        |\mathrm{var}|_1 = \frac{1}{b-1} \sum_i |g_i - \bar g|^2.

    Args:
      example_grads: tree of gradients, every leaf with the b examples in front.

    Returns:
      ``{"variance", "grad_norm_sq"}``, scalars in float32 or, for float64 leaves,
      float64. One example has variance 0.

    Raises:
      InputError: there are no leaves, or their leading axes differ.

    Memory: the gradients once more. ``variance_from_norms`` needs squared norms only.

    >>> found = gradient_variance({"w": jnp.array([[1.0, 2.0], [3.0, 2.0]])})
    >>> {name: round(float(x), 4) for name, x in found.items()}
    {'variance': 2.0, 'grad_norm_sq': 8.0}
    """
    leaves = jax.tree.leaves(example_grads)
    counts = {jnp.shape(x)[:1] for x in leaves}
    if len(counts) != 1 or counts == {()}:
        raise InputError(
            "example_grads must share a leading axis, the examples; got leading axes "
            f"{sorted(counts)}"
        )
    ((count,),) = counts
    means = jax.tree.map(lambda x: jnp.mean(_wide(x), axis=0), example_grads)
    apart = jax.tree.map(lambda x, m: _wide(x) - m[None], example_grads, means)
    return {
        "variance": trees.global_norm(apart) ** 2 / max(count - 1, 1),
        "grad_norm_sq": trees.global_norm(means) ** 2,
    }


def variance_from_norms(
    squared_norms: Array, grad_norm_sq: Array | float
) -> dict[str, Array]:
    r"""The same from the squared norm of every example's gradient.

    .. math:: |\mathrm{var}|_1 = \frac{\sum_i |g_i|^2 - b |\bar g|^2}{b - 1}.

    Args:
      squared_norms: :math:`|g_i|^2`, ``(b,)``.
      grad_norm_sq: :math:`|\bar g|^2`, squared norm of their mean.

    Returns:
      As ``gradient_variance``; never below 0. The difference is lost in rounding
      where the variance is far smaller than the mean.

    Raises:
      InputError: ``squared_norms`` is no vector.

    >>> found = variance_from_norms(jnp.array([5.0, 13.0]), 8.0)
    >>> float(found["variance"])
    2.0
    """
    if jnp.ndim(squared_norms) != 1:
        raise InputError(
            "squared_norms must be a vector, one number for each example; got shape "
            f"{jnp.shape(squared_norms)}"
        )
    squares = _wide(squared_norms)
    square = jnp.asarray(grad_norm_sq, squares.dtype)
    count = squares.size
    # The difference of the squares may fall below zero by a rounding; NaN stays.
    total = jnp.sum(squares) - count * square
    return {
        "variance": jnp.maximum(total, 0) / max(count - 1, 1),
        "grad_norm_sq": square,
    }


def variance_of_groups(
    variances: Array, squared_norms: Array, grad_norm_sq: Array | float
) -> dict[str, Array]:
    r"""The variance of a batch from those of its micro-batches or devices.

    With the variance :math:`v_k` and mean :math:`m_k` of each of K equal groups,

    .. math:: \frac{1}{K} \sum_k v_k + \frac{1}{K} \sum_k |m_k|^2 - |\bar g|^2,

    which is not the pooled variance of all examples but what the method's code uses.

    Args:
      variances: :math:`v_k`, ``(K,)``, as ``gradient_variance`` gives them.
      squared_norms: :math:`|m_k|^2`, ``(K,)``.
      grad_norm_sq: :math:`|\bar g|^2`, squared norm of the mean of all.

    Returns:
      As ``gradient_variance``; never below 0. K scalars cross the devices.

    Raises:
      InputError: the first two are no vectors of one length.

    >>> found = variance_of_groups(jnp.array([1.0, 3.0]), jnp.array([4.0, 6.0]), 4.0)
    >>> float(found["variance"])
    3.0
    """
    shapes = jnp.shape(variances), jnp.shape(squared_norms)
    if shapes[0] != shapes[1] or len(shapes[0]) != 1:
        raise InputError(
            "variances and squared_norms must be vectors of one length; got shapes "
            f"{shapes[0]} and {shapes[1]}"
        )
    within, squares = _wide(variances), _wide(squared_norms)
    square = jnp.asarray(grad_norm_sq, within.dtype)
    between = jnp.mean(squares) - square
    return {
        "variance": jnp.maximum(jnp.mean(within) + between, 0),
        "grad_norm_sq": square,
    }


def _wide(x: Array) -> Array:
    return jnp.asarray(x).astype(trees.accumulation_dtype(jnp.asarray(x).dtype))
