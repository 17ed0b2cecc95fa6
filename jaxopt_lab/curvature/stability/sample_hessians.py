"""Hessians of single examples, in the eigenbasis of their mean."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.checks import check_positive_count
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.known_values import known_values
from jaxopt_lab.core.trees import accumulation_dtype, safe_divide, safe_sqrt

HIGHEST = jax.lax.Precision.HIGHEST


class SampleHessians(NamedTuple):
    r"""Positive semi-definite :math:`H_i = A_i^\top A_i`, one for each example.

    The coordinates are those of the eigenvectors of the mean
    :math:`H = \frac1n \sum_i H_i`, so that H is diagonal; what H maps to zero, every
    :math:`H_i` does, and it is left out or, where shapes must be known beforehand,
    given as zeros.

    Attributes:
      factors: :math:`A_i`, shape ``(n, c, r)``, float32 or float64; columns of the
        null space are zero.
      eigenvalues: those of H, shape ``(r,)``, descending; 0 in the null space.
    """

    factors: jax.Array
    eigenvalues: jax.Array


def from_factors(factors: jax.Array, *, rtol: float | None = None) -> SampleHessians:
    r"""Example Hessians :math:`H_i = A_i^\top A_i` from their factors.

    Args:
      factors: :math:`A_i`, shape ``(n, c, d)``, any floating type.
      rtol: eigenvalues of the mean up to ``rtol`` times the largest are taken for 0;
        default ``max(n c, d)`` times the machine epsilon.

    Returns:
      The Hessians with ``r = min(n c, d)``.

    Raises:
      InputError: the factors have not three axes.

    Memory: a square matrix of ``min(n c, d)`` rows, never d x d where n c is smaller.

    >>> h = from_factors(jnp.array([[[1.0, 0.0]], [[0.0, 2.0]]]))
    >>> h.eigenvalues.tolist()
    [2.0, 0.5]
    """
    if factors.ndim != 3:
        raise InputError(
            f"factors must have the shape (n, c, d); got {tuple(factors.shape)}"
        )
    n, c, d = factors.shape
    flat = factors.reshape(n * c, d).astype(accumulation_dtype(factors.dtype))
    if n * c < d:
        gram = jnp.matmul(flat, flat.T, precision=HIGHEST)
        return from_gram(gram, n, rtol=rtol)
    # Scale before squaring: the mean, not the sum, is near 1 in most uses.
    mean = jnp.matmul(flat.T, flat / n, precision=HIGHEST)
    values, vectors = jnp.linalg.eigh((mean + mean.T) / 2)
    values, keep = _cut(values[::-1], rtol, n * c)
    inside = jnp.matmul(flat, vectors[:, ::-1], precision=HIGHEST) * keep[None]
    return SampleHessians(inside.reshape(n, c, d), values)


def from_gram(
    gram: jax.Array, num_samples: int, *, rtol: float | None = None
) -> SampleHessians:
    r"""Example Hessians from the Gram matrix of their factors' rows.

    With the rows of all :math:`A_i` stacked in A and
    :math:`A A^\top = U \Lambda U^\top`, the mean Hessian has the eigenvalues
    :math:`\Lambda / n`, and :math:`A_i` in its eigenbasis is
    :math:`U_i \Lambda^{1/2}`: no vector of the size of the parameters is needed.

    Args:
      gram: shape ``(n c, n c)``, symmetric, rows ordered by example.
      num_samples: n, the number of examples; divides the number of rows.
      rtol: as in ``from_factors``.

    Returns:
      The Hessians with ``r = n c``.

    Raises:
      InputError: the matrix is not square, or n does not divide its rows.

    >>> from_gram(jnp.diag(jnp.array([1.0, 4.0])), 2).eigenvalues.tolist()
    [2.0, 0.5]
    """
    check_positive_count("num_samples", num_samples)
    if gram.ndim != 2 or gram.shape[0] != gram.shape[1]:
        raise InputError(f"gram must be a square matrix; got {tuple(gram.shape)}")
    rows = gram.shape[0]
    if rows % num_samples:
        raise InputError(
            f"num_samples={num_samples} does not divide the {rows} rows of gram"
        )
    wide = gram.astype(accumulation_dtype(gram.dtype))
    values, vectors = jnp.linalg.eigh((wide + wide.T) / 2)
    values, keep = _cut(values[::-1], rtol, rows)
    # Columns of small positive eigenvalues set to 0 must be zeroed too.
    factors = vectors[:, ::-1] * (safe_sqrt(values) * keep)[None]
    return SampleHessians(factors.reshape(num_samples, -1, rows), values / num_samples)


def from_hessians(
    hessians: jax.Array, *, rtol: float | None = None, check: bool = True
) -> SampleHessians:
    r"""Example Hessians from the matrices themselves.

    Args:
      hessians: shape ``(n, d, d)``, symmetric and positive semi-definite.
      rtol: as in ``from_factors``; also the tolerated negative part of an
        eigenvalue, relative to the largest magnitude.
      check: whether indefinite matrices are refused; inside of ``jit`` they never
        are, and negative eigenvalues count as 0.

    Returns:
      The Hessians with ``c = r = d``.

    Raises:
      InputError: the shape is wrong, or a matrix is indefinite: then
        :math:`H_i^{1/2}` does not exist, and the Gauss-Newton matrix, equal at zero
        residual, should be used.

    >>> from_hessians(jnp.stack([jnp.eye(2), jnp.zeros((2, 2))])).eigenvalues.tolist()
    [0.5, 0.5]
    """
    if hessians.ndim != 3 or hessians.shape[1] != hessians.shape[2]:
        raise InputError(
            f"hessians must have the shape (n, d, d); got {tuple(hessians.shape)}"
        )
    wide = hessians.astype(accumulation_dtype(hessians.dtype))
    values, vectors = jnp.linalg.eigh((wide + jnp.swapaxes(wide, 1, 2)) / 2)
    known = known_values(values) if check else None
    if known is not None:
        low, scale = float(known.min()), float(np.abs(known).max())
        if low < -_rtol(rtol, values.dtype, values.size) * scale:
            raise InputError(
                f"hessians must be positive semi-definite; got the eigenvalue {low:g}; "
                "use the Gauss-Newton matrix (gram_matrix), equal at zero residual"
            )
    roots = safe_sqrt(jnp.maximum(values, 0))
    return from_factors(roots[:, :, None] * jnp.swapaxes(vectors, 1, 2), rtol=rtol)


def compress(hessians: SampleHessians) -> SampleHessians:
    """The same without the zeros of the null space; outside of ``jit`` only.

    Args:
      hessians: concrete arrays.

    Returns:
      The Hessians with r = the rank of their mean, at least 1.

    >>> compress(from_factors(jnp.array([[[1.0, 0.0]]]))).factors.shape
    (1, 1, 1)
    """
    rank = max(1, int(np.count_nonzero(np.asarray(hessians.eigenvalues))))
    return SampleHessians(hessians.factors[:, :, :rank], hessians.eigenvalues[:rank])


def max_eigenvalues(hessians: SampleHessians) -> jax.Array:
    r"""Largest eigenvalue of each :math:`H_i`.

    Args:
      hessians: the Hessians.

    Returns:
      Shape ``(n,)``.
    """
    a = hessians.factors
    c, r = a.shape[1:]
    if c <= r:
        small = jnp.einsum("ncr,ndr->ncd", a, a, precision=HIGHEST)
    else:
        small = jnp.einsum("ncr,ncs->nrs", a, a, precision=HIGHEST)
    return jnp.maximum(jnp.linalg.eigvalsh(small)[:, -1], 0)


def mean_square(hessians: SampleHessians, moment: jax.Array) -> jax.Array:
    r""":math:`\frac1n \sum_i H_i M H_i`.

    Args:
      hessians: the Hessians.
      moment: M, shape ``(r, r)``.

    Returns:
      Shape ``(r, r)``. Cost: two products of an ``(n c, r)`` with an ``(r, r)``
      matrix's worth of operations, besides n small ones.
    """
    a = hessians.factors
    n, c, r = a.shape
    rows = a.reshape(n * c, r)
    through = jnp.matmul(rows, moment, precision=HIGHEST).reshape(n, c, r)
    middle = jnp.einsum("ncr,ndr->ncd", through, a, precision=HIGHEST)
    out = jnp.einsum("ncd,ndr->ncr", middle / n, a, precision=HIGHEST)
    return jnp.matmul(rows.T, out.reshape(n * c, r), precision=HIGHEST)


def _rtol(rtol: float | None, dtype: jnp.dtype, rows: int) -> float:
    return rows * float(jnp.finfo(dtype).eps) if rtol is None else rtol


def _cut(
    values: jax.Array, rtol: float | None, rows: int
) -> tuple[jax.Array, jax.Array]:
    """Eigenvalues with the small ones zeroed, and 1 or 0 for kept or not."""
    limit = _rtol(rtol, values.dtype, max(rows, values.shape[0])) * values[0]
    keep = (values > limit).astype(values.dtype)
    return values * keep, keep


def reciprocal(x: jax.Array) -> jax.Array:
    """``1 / x``, and 0 where x is 0.

    Args:
      x: real array.

    Returns:
      The same shape.
    """
    return safe_divide(jnp.ones_like(x), x)
