"""A power law fitted to the tail of a spectrum (the Hill estimator)."""
# Its examples wait for pytest --full.

from __future__ import annotations

import math
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp

from jaxopt_lab.core import errors, trees
from jaxopt_lab.core.errors import InputError

Fit = Literal["median", "goodness-of-fit"]


class SpectrumMetrics(NamedTuple):
    """Metrics of one spectrum, the squared singular values of a layer.

    Every field is a scalar. ``alpha`` to ``tail`` are the fit, the others need none.

    Attributes:
      alpha: exponent of the density ``x^(-alpha)`` above ``xmin``.
      distance: Kolmogorov-Smirnov distance of the tail from that law.
      xmin: the smallest value of the tail.
      tail: number of its values, int32.
      count: number of values of the spectrum, zeros left out, int32.
      largest: the largest value; of a whole matrix its squared spectral norm.
      total: their sum; of a whole matrix its squared Frobenius norm.
      mean: their mean, zeros included.
      stable_rank: ``total / largest``. Windows are pooled, so that this one grows
        with their number.
      weighted_alpha: ``alpha log10(largest)``.
    """

    alpha: jax.Array
    distance: jax.Array
    xmin: jax.Array
    tail: jax.Array
    count: jax.Array
    largest: jax.Array
    total: jax.Array
    mean: jax.Array
    stable_rank: jax.Array
    weighted_alpha: jax.Array


def spectrum_metrics(
    eigenvalues: jax.Array, fit: Fit = "median", *, name: str = "eigenvalues"
) -> SpectrumMetrics:
    r"""Fit a power law to the upper part of a spectrum (the Hill estimator).

    With the values in ascending order and the tail of n values from the i-th on,

    .. math::
        \alpha = 1 + \frac{n}{\sum_{k \ge i} \ln(\lambda_k / \lambda_i)}, \quad
        D = \max_{k \ge i} \Big| 1 - (\lambda_k / \lambda_i)^{1 - \alpha}
            - \frac{k - i}{n} \Big|.

    Args:
      eigenvalues: non-negative real array of any shape, all of it one spectrum.
      fit: ``"median"``: the upper half, ``i = floor(N / 2)``; ``"goodness-of-fit"``:
        the i of smallest D, which costs N^2 operations.
      name: name of the array in an error.

    Returns:
      The metrics, float32 or better. ``alpha`` is inf where the tail is a single
      point, NaN where every value is zero. All numbers but the counts are NaN where
      a value is.

    Raises:
      InputError: there are no values, or ``fit`` is unknown.

    Decisions: exact zeros are left out before i is taken; the official code does so
    on request, below an absolute 1e-5. A layer of a rank under a half would else get
    an exponent near 1 whatever its tail. The fit that the official code calls
    ``xmin_peak`` is not offered: it compares an eigenvalue with a logarithm.
    ``"goodness-of-fit"`` may pick a tail of two or three values where there is no
    heavy tail, and gives exponents up to 30 on Gaussian matrices.

    >>> quantiles = (jnp.arange(1000) + 0.5) / 1000
    >>> pareto = (1 - quantiles) ** (-1 / 2)  # density 2 x^(-3)
    >>> bool(abs(spectrum_metrics(pareto).alpha - 3) < 0.02)
    True
    """
    if fit not in get_args(Fit):
        raise errors.unknown("fit", fit, get_args(Fit))
    if eigenvalues.size == 0:
        raise InputError(f"{name} must not be empty; got shape {eigenvalues.shape}")
    x = jnp.sort(eigenvalues.ravel()).astype(
        trees.accumulation_dtype(eigenvalues.dtype)
    )
    size, index = x.size, jnp.arange(x.size, dtype=jnp.int32)
    positive = x > 0
    count = jnp.sum(positive, dtype=jnp.int32)
    logs = jnp.where(positive, jnp.log(jnp.where(positive, x, 1)), 0)

    def at(i: jax.Array) -> tuple[jax.Array, jax.Array]:
        n = (size - i).astype(x.dtype)
        ratios = jnp.where(index >= i, logs - logs[i], 0)
        spread = jnp.sum(ratios)
        slope = trees.safe_divide(n, spread)
        # (x / xmin)^(1 - alpha); a point mass has the slope infinity.
        survival = jnp.exp(-slope * ratios)
        gaps = jnp.abs(1 - survival - (index - i).astype(x.dtype) / n)
        distance = jnp.max(jnp.where(index >= i, gaps, 0))
        return jnp.where(spread > 0, 1 + slope, jnp.inf), distance

    first = size - count
    if fit == "median" or size == 1:
        start = jnp.minimum(first + count // 2, size - 1)
    else:
        distances = jax.lax.map(lambda i: at(i)[1], index[:-1], batch_size=64)
        # Zeros are no candidates; nor is the largest value alone, as in the official
        # code.
        allowed = index[:-1] >= jnp.minimum(first, size - 2)
        start = jnp.argmin(jnp.where(allowed, distances, jnp.inf)).astype(jnp.int32)
    alpha, distance = at(start)
    unknown = jnp.any(jnp.isnan(x))
    nothing = (count == 0) | unknown
    alpha, distance = (jnp.where(nothing, jnp.nan, v) for v in (alpha, distance))
    return SpectrumMetrics(
        alpha=alpha,
        distance=distance,
        xmin=jnp.where(unknown, jnp.nan, x[start]),
        tail=jnp.where(nothing, 0, size - start),
        count=count,
        largest=x[-1],
        total=jnp.sum(x),
        mean=jnp.mean(x),
        stable_rank=trees.safe_divide(jnp.sum(x), x[-1]),
        weighted_alpha=alpha * logs[-1] / math.log(10),
    )


def squared_singular_values(matrix: jax.Array) -> jax.Array:
    """Eigenvalues of ``W^T W`` (of the smaller Gram matrix), in float32 or better.

    Args:
      matrix: ``(..., m, n)``.

    Returns:
      ``(..., min(m, n))``, descending. Those below the rounding of the largest one,
      as for a numerical rank, are exactly 0.
    """
    wide = matrix.astype(trees.accumulation_dtype(matrix.dtype))
    values = jnp.linalg.svdvals(wide)
    floor = max(matrix.shape[-2:]) * float(jnp.finfo(wide.dtype).eps)
    # NaN is at most nothing, so that it stays.
    return jnp.where(values <= floor * values[..., :1], 0, values**2)


def nan_unless_finite(values: jax.Array, weights: jax.Array) -> jax.Array:
    """Values of a matrix, all NaN where a weight of it is not finite.

    Args:
      values: what was computed from parts of the matrix.
      weights: the whole of it.

    Returns:
      The values, or NaN in their place.
    """
    return jnp.where(jnp.all(jnp.isfinite(weights)), values, jnp.nan)
