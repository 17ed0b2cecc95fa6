"""The diagonal of a matrix from random probes."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxopt_lab.core import checks as arguments
from jaxopt_lab.core import trees
from jaxopt_lab.core.typing import PyTree
from jaxopt_lab.curvature.operators.operator import Operator, draw


class DiagonalEstimate(NamedTuple):
    """An estimate of a diagonal.

    Attributes:
      value: tree like the operator's vectors.
      standard_error: of each entry, the same tree; NaN with one probe.
      matvecs: products spent.
    """

    value: PyTree
    standard_error: PyTree
    matvecs: int


@partial(jax.jit, donate_argnums=(0, 1))
def _update(
    mean: PyTree, squares: PyTree, z: PyTree, hz: PyTree, count: Array
) -> tuple[PyTree, PyTree]:
    """Welford's update, which avoids the cancellation of sums of squares."""
    sample = jax.tree.map(jnp.multiply, z, hz)
    away = jax.tree.map(jnp.subtract, sample, mean)
    mean = jax.tree.map(lambda m, d: m + d / count.astype(d.dtype), mean, away)
    squares = jax.tree.map(
        lambda s, d, x, m: s + d * (x - m), squares, away, sample, mean
    )
    return mean, squares


@jax.jit
def _error(squares: PyTree, count: Array) -> PyTree:
    def one(s: Array) -> Array:
        n = count.astype(s.dtype)
        return trees.safe_sqrt(s / (n * (n - 1)))

    return jax.tree.map(one, squares)


def hutchinson_diagonal(
    operator: Operator, key: Array, *, num_probes: int = 100
) -> DiagonalEstimate:
    r"""Diagonal by Rademacher probes.

    .. math::
        H_{ii} \approx \frac{1}{m} \sum_p z_{pi} (H z_p)_i, \quad
        \operatorname{Var} = \frac{1}{m} \sum_{j \ne i} H_{ij}^2

    Args:
      operator: H, symmetric.
      key: typed PRNG key; probe p uses ``jax.random.fold_in(key, p)``.
      num_probes: m.

    Returns:
      A ``DiagonalEstimate``.

    Raises:
      InputError: ``num_probes`` is no whole number of at least 1.

    Memory: 4 P beside a product's.

    >>> import jax, jax.numpy as jnp
    >>> from jaxopt_lab import curvature
    >>> h = curvature.linear_operator(lambda v: jnp.arange(3.0) * v, jnp.zeros(3))
    >>> hutchinson_diagonal(h, jax.random.key(0), num_probes=4).value.tolist()
    [0.0, 1.0, 2.0]

    Reference: Bekas, Kokiopoulou and Saad, "An estimator for the diagonal of a
    matrix", Applied Numerical Mathematics 57 (2007).
    """
    arguments.check_positive_count("num_probes", num_probes)
    z = draw(operator, jax.random.fold_in(key, 0), "rademacher")
    mean = jax.tree.map(jnp.multiply, z, operator.matvec(z))
    squares = jax.tree.map(jnp.zeros_like, mean)
    for p in range(1, num_probes):
        z = draw(operator, jax.random.fold_in(key, p), "rademacher")
        hz = operator.matvec(z)
        mean, squares = _update(mean, squares, z, hz, jnp.float32(p + 1))
    return DiagonalEstimate(mean, _error(squares, jnp.float32(num_probes)), num_probes)
