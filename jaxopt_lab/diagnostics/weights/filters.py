"""Filters of convolutions: their principal components, and shifts between nets."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core import trees
from jaxopt_lab.core.checks import check_positive_count
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import MaskOrFn, Params
from jaxopt_lab.diagnostics.weights.matrix_norms import wide_matrix


class FilterBasis(NamedTuple):
    """Principal components of a set of filters of k weights each.

    Attributes:
      mean: ``(k,)``.
      components: ``(k, k)``, orthonormal rows by descending variance; the entry of
        largest magnitude of each is positive.
      variance_ratio: ``(k,)``, their shares of the variance; zeros where there is none.
    """

    mean: jax.Array
    components: jax.Array
    variance_ratio: jax.Array

    def coefficients(self, filters: jax.Array) -> jax.Array:
        """Coordinates of ``(n, k)`` filters in the basis, ``(n, k)``."""
        centred = filters.astype(self.mean.dtype) - self.mean[None]
        return jnp.matmul(centred, self.components.T, precision="highest")


def filters_of(kernel: jax.Array) -> jax.Array:
    """The two-dimensional filters of a kernel, one a row.

    Args:
      kernel: ``(..., I, O)`` with the spatial axes in front, as flax has it.

    Returns:
      ``(I O, k)``, k the product of the spatial axes; float32 or better.

    Raises:
      InputError: fewer than three axes, or no elements.
    """
    if kernel.ndim < 3 or 0 in kernel.shape:
        raise InputError(
            "a convolution's kernel (..., inputs, outputs) is needed; got shape "
            f"{kernel.shape}"
        )
    wide = kernel.astype(trees.accumulation_dtype(kernel.dtype))
    return wide.reshape(-1, kernel.shape[-2] * kernel.shape[-1]).T


def collect_filters(
    params: Params, spatial: tuple[int, ...] = (3, 3), mask: MaskOrFn | None = None
) -> jax.Array:
    """All filters of one size in a network, each scaled to a largest weight of 1.

    Args:
      params: the parameters; kernels are those leaves that begin with ``spatial`` and
        have two more axes.
      spatial: the size of the filters.
      mask: leaves to use. Default: all.

    Returns:
      ``(n, k)``, float32 or better; a filter of zeros stays zero.

    Raises:
      InputError: there is no such kernel, or the mask does not fit.
    """
    chosen = jax.tree.leaves(trees.resolve_mask(mask, params))
    found = [
        filters_of(jnp.asarray(leaf))
        for leaf, wanted in zip(jax.tree.leaves(params), chosen, strict=True)
        if wanted
        and jnp.ndim(leaf) == len(spatial) + 2
        and jnp.shape(leaf)[: len(spatial)] == tuple(spatial)
        and jnp.size(leaf)
    ]
    if not found:
        raise InputError(f"params have no kernel with filters of size {spatial}")
    filters = jnp.concatenate(found)
    peak = jnp.max(jnp.abs(filters), axis=1, keepdims=True)
    return trees.safe_divide(filters, peak)


def filter_basis(filters: jax.Array) -> FilterBasis:
    """Principal components of filters.

    Args:
      filters: ``(n, k)``, one a row.

    Returns:
      The basis, float32 or better. Costs ``O(n k^2)``.

    Raises:
      InputError: no matrix, or an empty one.
    """
    wide = wide_matrix(filters, "filters")
    mean = jnp.mean(wide, axis=0)
    # With at least k rows, so that the basis is complete.
    short = max(0, wide.shape[1] - wide.shape[0])
    centred = jnp.pad(wide - mean[None], ((0, short), (0, 0)))
    _, values, rows = jnp.linalg.svd(centred, full_matrices=False)
    largest = jnp.argmax(jnp.abs(rows), axis=1)
    sign = jnp.sign(jnp.take_along_axis(rows, largest[:, None], axis=1))
    ratio = trees.safe_divide(values**2, jnp.sum(values**2))
    return FilterBasis(mean, rows * sign, ratio)


def filter_shift(
    one: jax.Array,
    other: jax.Array,
    *,
    basis: FilterBasis | None = None,
    limits: tuple[float, float] | None = None,
    bins: int = 70,
) -> jax.Array:
    r"""Distribution shift between the filters of two networks.

    With :math:`P_i, Q_i` the histograms of the i-th principal coefficient of the two
    sets and :math:`v_i` its share of the variance,

    .. math::
        D = \sum_i v_i \big( KL(P_i \| Q_i) + KL(Q_i \| P_i) \big).

    Args:
      one: ``(n, k)`` filters of one network, as ``collect_filters`` gives them.
      other: ``(m, k)``, those of the other.
      basis: the components. Default: those of both sets together. For distances among
        many networks give the basis of all of them.
      limits: ends of the histograms, the same for all coefficients. Default: the
        smallest and the largest coefficient of both sets.
      bins: number of bins.

    Returns:
      Scalar, float32 or better, in nats; 0 for equal histograms, symmetric.

    Raises:
      InputError: the sets are no matrices of one width, or a number is refused.

    Decisions: as in the authors' notebook, the density of an empty bin is taken for
    the machine epsilon of float32, and the histogram then sums to 1 again: D between
    sets that hardly overlap reflects that number, not a divergence. A histogram has no
    useful derivative.

    >>> a = jax.random.normal(jax.random.key(0), (100, 9))
    >>> float(filter_shift(a, a)), bool(filter_shift(a, a + 1) > 0.1)
    (0.0, True)

    Reference: Gavrikov and Keuper, "CNN Filter DB: An Empirical Investigation of
    Trained Convolutional Filters", CVPR 2022, arXiv:2203.15331. Code compared:
    paulgavrikov/CNN-Filter-DB.
    """
    check_positive_count("bins", bins)
    one, other = wide_matrix(one, "one"), wide_matrix(other, "other")
    if one.shape[1] != other.shape[1]:
        raise InputError(
            "the filters must have one number of weights; got "
            f"{one.shape[1]} and {other.shape[1]}"
        )
    basis = filter_basis(jnp.concatenate([one, other])) if basis is None else basis
    sets = [basis.coefficients(x) for x in (one, other)]
    if limits is None:
        low = jnp.minimum(jnp.min(sets[0]), jnp.min(sets[1]))
        high = jnp.maximum(jnp.max(sets[0]), jnp.max(sets[1]))
    else:
        low, high = (jnp.asarray(x, sets[0].dtype) for x in limits)
    p, q = (_histograms(x, low, high, bins) for x in sets)
    each = jnp.sum((p - q) * (jnp.log(p) - jnp.log(q)), axis=1)
    # Comparisons with NaN put it into no bin.
    finite = jnp.all(jnp.isfinite(one)) & jnp.all(jnp.isfinite(other))
    return jnp.where(finite, jnp.sum(basis.variance_ratio * each), jnp.nan)


def _histograms(x: jax.Array, low: jax.Array, high: jax.Array, bins: int) -> jax.Array:
    """Histograms of the columns, ``(k, bins)``; each sums to 1 and has no zeros."""
    # Where all coefficients are equal any positive width works.
    width = jnp.where(high > low, high - low, 1)
    place = jnp.floor((x - low) / width * bins).astype(jnp.int32)
    # The last bin is closed, as in numpy; values outside the limits are not counted.
    place = jnp.where(x == high, bins - 1, place)
    inside = (x >= low) & (x <= high)
    place = jnp.where(inside, jnp.clip(place, 0, bins - 1), bins)
    counts = jax.vmap(lambda c: jnp.bincount(c, length=bins + 1)[:bins])(place.T)
    counts = counts.astype(x.dtype)
    total = jnp.sum(counts, axis=1, keepdims=True) * width / bins
    density = trees.safe_divide(counts, total)
    floor = float(jnp.finfo(jnp.float32).eps)
    density = jnp.where(counts == 0, floor, density)
    return density / jnp.sum(density, axis=1, keepdims=True)
