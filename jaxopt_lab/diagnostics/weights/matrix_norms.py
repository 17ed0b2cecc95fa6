"""Nuclear norm, its cheap upper bound, and entropy of activation matrices."""
# Its examples wait for pytest --full.

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core import trees
from jaxopt_lab.core.checks import check_positive_count
from jaxopt_lab.core.errors import InputError


class TokenMatrixMetrics(NamedTuple):
    """Compression of ``(N, d)`` activations; scalars, float32 or better.

    Attributes:
      nuclear_norm: sum of the singular values of the normalised activations.
      column_norm_sum: sum of the norms of their columns.
      column_norm_sum_per_token: the same divided by N, the "matrix nuclear norm" of
        the official code.
      entropy: their matrix entropy, between 0 and 1.
    """

    nuclear_norm: jax.Array
    column_norm_sum: jax.Array
    column_norm_sum_per_token: jax.Array
    entropy: jax.Array


def wide_matrix(matrix: jax.Array, name: str = "matrix") -> jax.Array:
    """A matrix in the type in which sums over it are taken.

    Args:
      matrix: of any floating type.
      name: of the argument, for the message.

    Returns:
      The matrix in float32, float64 for float64.

    Raises:
      InputError: it has not two axes, or no elements.
    """
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise InputError(
            f"{name} must have two axes and some elements; got shape {matrix.shape}"
        )
    return matrix.astype(trees.accumulation_dtype(matrix.dtype))


def normalise_tokens(activations: jax.Array) -> jax.Array:
    """Centre the features, then bring every token to unit length.

    Args:
      activations: ``(N, d)``, one token a row.

    Returns:
      ``(N, d)``, float32 or better: the mean over the rows is subtracted, each row is
      divided by its norm. A row that is the mean, up to the rounding of the largest
      row, becomes zero, with zero derivatives; the official code divides 0 by 0
      there, or takes the direction of the rounding error.

    Raises:
      InputError: no matrix, or an empty one.

    >>> normalise_tokens(jnp.array([[0.0, 3.0], [0.0, 1.0], [0.0, 2.0]])).tolist()
    [[0.0, 1.0], [0.0, -1.0], [0.0, 0.0]]
    """
    wide = wide_matrix(activations, "activations")
    centred = wide - jnp.mean(wide, axis=0, keepdims=True)
    norms = trees.safe_sqrt(jnp.sum(centred**2, axis=1, keepdims=True))
    # The remainder of such a row is rounding error of the mean: set it to zero.
    size = trees.safe_sqrt(jnp.max(jnp.sum(wide**2, axis=1)))
    rounding = jnp.finfo(wide.dtype).eps * jax.lax.stop_gradient(size)
    return trees.safe_divide(centred, jnp.where(norms <= rounding, 0, norms))


def nuclear_norm(matrix: jax.Array) -> jax.Array:
    """The sum of the singular values, exactly.

    Args:
      matrix: ``(m, n)``.

    Returns:
      Scalar, float32 or better. Costs a singular value decomposition,
      ``O(m n min(m, n))``; its derivative is ``U V^T``.

    Raises:
      InputError: no matrix, or an empty one.

    >>> float(nuclear_norm(jnp.diag(jnp.array([3.0, -4.0]))))
    7.0
    """
    return jnp.sum(jnp.linalg.svdvals(wide_matrix(matrix)))


def column_norm_sum(matrix: jax.Array, top: int | None = None) -> jax.Array:
    r"""Sum of the largest column norms: the L1,2 norm, no nuclear norm.

    Over all columns it bounds the nuclear norm from above,
    ``||A||_* <= sum_j ||a_j||_2``, with equality where the columns are orthogonal. The
    paper's name for it, "matrix nuclear norm", is an approximation that low-rank
    matrices do not obey: equal columns give ``sqrt(n)`` times the nuclear norm.

    Args:
      matrix: ``(m, n)``.
      top: number of columns that are summed, the largest ones. Default: ``min(m, n)``,
        as in the official code; with fewer than all it is no bound.

    Returns:
      Scalar, float32 or better, safe at zero columns in value and derivative. Costs
      ``O(m n)``.

    Raises:
      InputError: no matrix, an empty one, or ``top`` is no count of columns.

    >>> ones = jnp.ones((4, 4))
    >>> float(column_norm_sum(ones)), round(float(nuclear_norm(ones)), 5)
    (8.0, 4.0)

    Reference: Li, Xia, Wu and Chang, "Large Language Model Evaluation via
    Matrix Nuclear-Norm", arXiv:2410.10672.
    """
    wide = wide_matrix(matrix)
    if top is not None:
        check_positive_count("top", top)
        if top > wide.shape[1]:
            raise InputError(
                f"top must be at most the number of columns, {wide.shape[1]}; got {top}"
            )
    norms = trees.safe_sqrt(jnp.sum(wide**2, axis=0))
    largest, _ = jax.lax.top_k(norms, min(wide.shape) if top is None else top)
    return jnp.sum(largest)


def matrix_entropy(matrix: jax.Array) -> jax.Array:
    r"""Entropy of the spectrum of ``Z^T Z``, between 0 and 1.

    .. math::
        H = -\frac{1}{\ln d} \sum_i p_i \ln p_i, \quad
        p_i = \sigma_i^2(Z) / \textstyle\sum_k \sigma_k^2(Z).

    Args:
      matrix: Z, ``(N, d)``, as ``normalise_tokens`` gives it.

    Returns:
      Scalar, float32 or better. 0 at rank 1, for a zero matrix and for ``d = 1``; 1
      where all d directions have the same weight, which takes ``N >= d``.

    Raises:
      InputError: no matrix, or an empty one.

    Decisions: singular values of Z, not eigenvalues of ``Z^T Z``, whose small ones are
    lost in rounding. Dividing by their sum changes nothing where rows have unit
    length, and keeps rows that are zero from lowering the entropy.

    >>> float(matrix_entropy(jnp.eye(4)))
    1.0

    Reference: as for ``column_norm_sum``, where it is the measure compared with.
    """
    wide = wide_matrix(matrix)
    squares = jnp.linalg.svdvals(wide) ** 2
    p = trees.safe_divide(squares, jnp.sum(squares))
    none = p == 0
    terms = jnp.where(none, 0, p * jnp.log(jnp.where(none, 1, p)))
    return -jnp.sum(terms) / (math.log(wide.shape[1]) or 1.0)


def token_matrix_metrics(
    activations: jax.Array, top: int | None = None
) -> TokenMatrixMetrics:
    """Compression of a layer's activations of N tokens.

    Args:
      activations: ``(N, d)``, one token a row.
      top: see ``column_norm_sum``.

    Returns:
      The metrics of the normalised activations.

    Raises:
      InputError: no matrix, an empty one, or ``top`` is no count of columns.

    Decisions: the sum is divided by the number of tokens, as in the official code.

    >>> metrics = token_matrix_metrics(jax.random.normal(jax.random.key(0), (32, 8)))
    >>> bool(metrics.nuclear_norm <= metrics.column_norm_sum)
    True
    """
    normalised = normalise_tokens(activations)
    total = column_norm_sum(normalised, top)
    return TokenMatrixMetrics(
        nuclear_norm=nuclear_norm(normalised),
        column_norm_sum=total,
        column_norm_sum_per_token=total / activations.shape[0],
        entropy=matrix_entropy(normalised),
    )
