"""Coding rates of features, and their reduction by clusters (MCR2)."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp

from jaxopt_lab.core.options import COUNT, POSITIVE, check_arguments
from jaxopt_lab.core.unit import unit_rows
from jaxopt_lab.losses.targets import (
    check_floats,
    check_probabilities,
    check_shape,
    valid,
)


def coding_rate(
    z: jax.Array,
    *,
    eps: Annotated[float, POSITIVE] = 0.5,
    where: jax.Array | None = None,
) -> jax.Array:
    r"""Rate of coding unit features up to an error of eps, in nats.

    With the n features as the rows of Z, of unit length,

    .. math:: R(Z) = \log\det\left(I + \frac{d}{n \epsilon^2} Z^\top Z\right),

    0 for zeros, unchanged by rotations, and for :math:`n \ge d` at most
    :math:`d \log(1 + 1 / \epsilon^2)`, reached by features that are spread alike over
    all directions. (The paper's rate is half of this.)

    Args:
      z: ``(n, d)``; their lengths do not matter.
      eps: :math:`\epsilon`.
      where: ``(n,)``; 0 drops an example.

    Returns:
      A number, float32 or float64. Cost: one product and one Cholesky decomposition on
      the smaller side, min(n, d). Zeros as features have no gradient.

    Raises:
      InputError: features that are no ``(n, d)`` array, or an option out of range.

    Source: Yu et al., "Learning Diverse and Discriminative Representations via the
    Principle of Maximal Coding Rate Reduction", 2020
    (https://arxiv.org/abs/2006.08558).

    >>> f"{coding_rate(jnp.eye(2), eps=1.0):.4f}"  # 2 log 2
    '1.3863'
    """
    check_arguments(coding_rate, {"eps": eps})
    check_floats("z", z, 2)
    z, counts = unit_features(z, where)
    return rate(z, counts, eps)


def coding_rate_reduction(
    z: jax.Array,
    membership: jax.Array,
    *,
    eps: Annotated[float, POSITIVE] = 0.5,
    block: Annotated[int, COUNT] = 32,
    where: jax.Array | None = None,
) -> jax.Array:
    r"""Rate of features less the mean rate of their clusters, to be made large.

    With the shares :math:`\Pi_{ij}` of example i in cluster j and the sizes
    :math:`m_j = \sum_i \Pi_{ij}`,

    .. math::
        R(Z) - \sum_j \frac{m_j}{n} \log\det\left(I + \frac{d}{m_j \epsilon^2}
        Z^\top \mathrm{Diag}(\Pi_{\cdot j}) Z\right),

    0 if all clusters are alike. A doubly stochastic ``(n, n)`` array is a membership,
    too: each example has a cluster of size 1 around it.

    Args:
      z: ``(n, d)``; their lengths do not matter.
      membership: ``(n, k)``, at least 0, with row sums 1.
      eps: :math:`\epsilon`.
      block: clusters whose matrices are in memory at once.
      where: ``(n,)``; 0 drops an example.

    Returns:
      A number, float32 or float64, at least 0 up to rounding. An empty cluster counts
      nothing and has no gradient. Cost: k products and decompositions on the smaller
      side s = min(n, d); in memory, also for the gradient, ``block`` matrices s x s and
      the membership.

    Raises:
      InputError: shapes that do not belong together, shares whose sums are not 1, or an
        option out of range.

    Source: Yu et al., "Learning Diverse and Discriminative Representations via the
    Principle of Maximal Coding Rate Reduction", 2020
    (https://arxiv.org/abs/2006.08558), in nats and without the factor 1/2.

    >>> f"{coding_rate_reduction(jnp.eye(2), jnp.eye(2), eps=1.0):.4f}"  # log(4 / 3)
    '0.2877'
    """
    check_arguments(coding_rate_reduction, {"eps": eps, "block": block})
    check_floats("z", z, 2)
    check_floats("membership", membership, 2)
    check_shape("membership", membership, (z.shape[0], membership.shape[1]))
    z, counts = unit_features(z, where)
    check_probabilities("membership", membership, where)
    return rate(z, counts, eps) - mean_rate(z, membership, counts, eps, block)


def unit_features(z: jax.Array, where: jax.Array | None) -> tuple[jax.Array, jax.Array]:
    """Unit rows, zeros for dropped examples, and which examples count.

    Args:
      z: ``(n, d)``.
      where: ``(n,)``, or None.

    Returns:
      The rows and ``(n,)`` zeros and ones, of the accumulation type.

    >>> unit_features(jnp.array([[0.0, 2.0]]), None)[0].tolist()
    [[0.0, 1.0]]
    """
    counts = valid(where, z.shape[0], z)
    z = jnp.where(counts[:, None] > 0, z.astype(counts.dtype), 0)
    return unit_rows(z), counts


def rate(z: jax.Array, counts: jax.Array, eps: float | jax.Array) -> jax.Array:
    """Coding rate of rows that are of unit length already, or zeros.

    Args:
      z: ``(n, d)``, zeros for dropped rows.
      counts: ``(n,)``, 1 for the rows that count.
      eps: the error.

    Returns:
      A number.

    >>> f"{rate(jnp.eye(2), jnp.ones(2), 1.0):.4f}"
    '1.3863'
    """
    return _log_det(z, counts * _scale(z, jnp.sum(counts), eps))


def mean_rate(
    z: jax.Array,
    membership: jax.Array,
    counts: jax.Array,
    eps: float | jax.Array,
    block: int,
) -> jax.Array:
    """Mean coding rate of clusters, weighted by their sizes.

    Args:
      z: ``(n, d)`` unit rows or zeros.
      membership: ``(n, k)``, at least 0.
      counts: ``(n,)``, 1 for the rows that count.
      eps: the error.
      block: clusters at once.

    Returns:
      A number.

    >>> x, ones = jnp.eye(2), jnp.ones(2)
    >>> f"{mean_rate(x, x, ones, 1.0, 8):.4f}"  # log(1 + d)
    '1.0986'
    """
    shares = jnp.where(counts[:, None] > 0, membership.astype(z.dtype), 0)

    @jax.checkpoint
    def weighted(share: jax.Array) -> jax.Array:
        size = jnp.sum(share)
        return size * _log_det(z, share * _scale(z, size, eps))

    rates = jax.lax.map(weighted, shares.T, batch_size=min(block, shares.shape[1]))
    return jnp.sum(rates) / jnp.maximum(jnp.sum(counts), 1)


def _scale(z: jax.Array, size: jax.Array, eps: float | jax.Array) -> jax.Array:
    """The factor d / (size eps^2); that of size 1 where there is nothing."""
    square = jnp.square(jnp.asarray(eps, z.dtype))
    return z.shape[1] / (jnp.where(size == 0, 1, size) * square)


def _log_det(z: jax.Array, weights: jax.Array) -> jax.Array:
    """log det(I + Z^T Diag(w) Z) = log det(I + Diag(w) Z Z^T), the smaller one."""
    best = jax.lax.Precision.HIGHEST
    if z.shape[1] <= z.shape[0]:
        inner = jnp.matmul(z.T, weights[:, None] * z, precision=best)
        factor = jnp.linalg.cholesky(jnp.eye(z.shape[1], dtype=z.dtype) + inner)
        return 2 * jnp.sum(jnp.log(jnp.diagonal(factor)))
    # Not symmetric, since the root of a weight of 0 has no derivative.
    outer = weights[:, None] * jnp.matmul(z, z.T, precision=best)
    return jnp.linalg.slogdet(jnp.eye(z.shape[0], dtype=z.dtype) + outer)[1]
