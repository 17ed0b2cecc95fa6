"""Degenerate convolution filters: near zero, similar, or apparently untrained."""
# Its examples wait for pytest --full.

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core import trees
from jaxopt_lab.core.checks import check_unit
from jaxopt_lab.core.typing import Scalar
from jaxopt_lab.diagnostics.weights.filters import filters_of


class FilterQuality(NamedTuple):
    """Signs of degenerate filters in one layer; scalars, float32 or better.

    Attributes:
      sparsity: share of the filters that are near zero.
      variance_entropy: 0 where all filters are multiples of one (after their mean is
        subtracted), ``log10(k)`` where they spread in all directions alike.
      relative_entropy: the same over the lower bound of as many random filters; near
        1 the layer looks untrained. NaN unless filters have nine weights.
      clean_entropy: ``variance_entropy`` of the filters that are not near zero.
      orthogonality: 1 where the output channels are orthogonal, 0 where all are
        multiples of one.
    """

    sparsity: jax.Array
    variance_entropy: jax.Array
    relative_entropy: jax.Array
    clean_entropy: jax.Array
    orthogonality: jax.Array


def filter_quality(kernel: jax.Array, *, threshold: Scalar = 0.01) -> FilterQuality:
    r"""Sparsity, variance entropy and orthogonality of a layer's filters.

    With the n filters of k weights as rows, their mean subtracted, and singular values
    :math:`\sigma_i` of that matrix,

    .. math::
        H = -\sum_i p_i \log_{10} p_i, \quad
        p_i = \sigma_i^2 / \textstyle\sum_j \sigma_j^2.

    A filter is near zero if its largest weight is below ``threshold`` times the largest
    of the layer. With :math:`\hat w_a` the unit vector of all weights of the a-th of
    O output channels,

    .. math::
        1 - \frac{1}{O (O - 1)} \sum_{a \ne b} |\langle \hat w_a, \hat w_b \rangle|.

    Args:
      kernel: ``(..., I, O)`` with the spatial axes in front, as flax has it.
      threshold: of near-zero filters, in [0, 1].

    Returns:
      The measures. A layer of zeros has sparsity 1 and entropy 0.

    Raises:
      InputError: the kernel has no spatial axes or no elements, or the threshold is out
        of range.

    Decisions: an output channel of zeros has no angle with others; the authors' code
    counts its own missing unit diagonal against the orthogonality. With a single
    channel that is 1. The bound for random filters,
    :math:`1.262 / (1 + e^{-0.888 (\log_2 n - 2.304)}) - 0.311`, is the authors' fit to
    drawn 3 x 3 filters.

    >>> kernel = jax.random.normal(jax.random.key(0), (3, 3, 16, 32))
    >>> found = filter_quality(kernel)
    >>> float(found.sparsity), bool(found.relative_entropy > 0.99)
    (0.0, True)

    Reference: Gavrikov and Keuper, "CNN Filter DB: An Empirical Investigation of
    Trained Convolutional Filters", CVPR 2022, arXiv:2203.15331. Code compared:
    paulgavrikov/torchconvquality.
    """
    check_unit("threshold", threshold)
    filters = filters_of(kernel)
    n, k = filters.shape
    peaks = jnp.max(jnp.abs(filters), axis=1)
    largest = jnp.max(peaks)
    below = peaks < jnp.asarray(threshold, peaks.dtype) * largest
    near_zero = below | (largest == 0)
    finite = jnp.isfinite(largest)
    entropy = _entropy(filters, jnp.ones(n, bool))
    return FilterQuality(
        sparsity=jnp.where(finite, jnp.mean(near_zero.astype(filters.dtype)), jnp.nan),
        variance_entropy=entropy,
        relative_entropy=entropy / random_entropy(n) if k == 9 else entropy * jnp.nan,
        clean_entropy=jnp.where(finite, _entropy(filters, ~near_zero), jnp.nan),
        orthogonality=_orthogonality(kernel),
    )


def random_entropy(n: int) -> float:
    """Approximate lower bound of the variance entropy of n random 3 x 3 filters.

    Args:
      n: number of filters.

    Returns:
      The authors' fit; it means little below about 4 filters.

    >>> round(random_entropy(10**6), 2)  # log10(9) is 0.954
    0.95
    """
    high, middle, slope, shift = 1.2618047, 2.30436435, 0.88767525, -0.31050834
    return high / (1 + math.exp(-slope * (math.log2(n) - middle))) + shift


def _entropy(filters: jax.Array, used: jax.Array) -> jax.Array:
    weights = used.astype(filters.dtype)[:, None]
    count = jnp.sum(weights)
    mean = trees.safe_divide(jnp.sum(weights * filters, axis=0), count)
    values = jnp.linalg.svdvals(weights * (filters - mean[None]))
    # The differences of equal filters are rounding error, without a direction.
    size = jnp.linalg.svdvals(weights * filters)[0]
    rounding = max(filters.shape) * float(jnp.finfo(filters.dtype).eps) * size
    squares = jnp.where(values <= jax.lax.stop_gradient(rounding), 0, values**2)
    p = trees.safe_divide(squares, jnp.sum(squares))
    none = p == 0
    terms = jnp.where(none, 0, p * jnp.log10(jnp.where(none, 1, p)))
    return -jnp.sum(terms)


def _orthogonality(kernel: jax.Array) -> jax.Array:
    wide = kernel.astype(trees.accumulation_dtype(kernel.dtype))
    channels = wide.reshape(-1, kernel.shape[-1]).T
    norms = trees.safe_sqrt(jnp.sum(channels**2, axis=1, keepdims=True))
    unit = trees.safe_divide(channels, norms)
    cosines = jnp.abs(jnp.matmul(unit, unit.T, precision="highest"))
    count = len(channels)
    others = jnp.sum(jnp.where(jnp.eye(count, dtype=bool), 0, cosines))
    return 1 - others / max(1, count * (count - 1))
