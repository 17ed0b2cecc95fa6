"""Squared kernel calibration error: an unbiased estimate with its error."""

from __future__ import annotations

import functools
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.labels import is_class
from jaxopt_lab.core.neighbours import map_row_blocks, squared_distances
from jaxopt_lab.core.options import COUNT, POSITIVE_OR_INFINITE, check_arguments
from jaxopt_lab.core.trees import safe_sqrt
from jaxopt_lab.core.where import counted
from jaxopt_lab.metrics.mergeable import labelled


class KernelCalibrationError(NamedTuple):
    """A squared kernel calibration error.

    Attributes:
      value: scalar, unbiased, so that it may be below 0; float32, or float64.
      error: its standard error.
    """

    value: jax.Array
    error: jax.Array


def kernel_calibration_error(
    outputs: jax.Array,
    targets: jax.Array,
    *,
    where: jax.Array | None = None,
    bandwidth: Annotated[float, POSITIVE_OR_INFINITE] = 0.5,
    block: Annotated[int, COUNT] = 1024,
) -> KernelCalibrationError:
    r"""Squared kernel calibration error of all probabilities, without bins.

    With probabilities :math:`p_i`, residuals :math:`r_i = e_{y_i} - p_i` and
    :math:`k(p, q) = e^{-|p - q|^2 / 2 \sigma^2}`,

    .. math:: \frac{1}{n (n - 1)} \sum_{i \ne j} k(p_i, p_j) \, r_i \cdot r_j ,

    whose expectation is 0 if, and for this kernel only if, the labels have the
    probabilities. The standard error is that of a U-statistic from the variances
    :math:`\zeta_1` of the means over one partner and :math:`\zeta_2` of all pairs,
    :math:`(4 (n - 2) \zeta_1 + 2 \zeta_2) / n (n - 1)`; it is of order :math:`1 / n`
    for a calibrated classifier.

    Args:
      outputs: logits, ``(B, C)``.
      targets: labels, ``(B,)``.
      where: ``(B,)``; examples where it is 0 are left out, whatever they hold; the
        others count alike.
      bandwidth: :math:`\sigma`, in distances of probabilities; infinity compares the
        mean probabilities with the frequencies.
      block: examples at a time.

    Returns:
      Value and error; NaN of fewer than two examples that count, or of logits that are
      NaN. Time: :math:`n^2 C`; memory: ``block x B`` numbers, in the gradient too.

    Raises:
      InputError: fewer than two examples, the shapes do not fit, a label is no class,
        or an option is out of range.

    Deviations: the kernel and its width are ours; the source takes others too.

    Source: Widmann, Lindsten and Zachariah, "Calibration tests in multi-class
    classification: A unifying framework", 2019 (https://arxiv.org/abs/1910.11385).

    >>> z = jnp.log(jnp.array([[0.5, 0.5]] * 4))
    >>> found = kernel_calibration_error(z, jnp.array([0, 0, 0, 0]))
    >>> round(float(found.value), 3), round(float(found.error), 3)
    (0.5, 0.0)
    """
    check_arguments(kernel_calibration_error, locals())
    given = {"outputs": outputs, "targets": targets}
    logits, labels, weight = labelled(
        given if where is None else {**given, "weight": where}
    )
    if logits.shape[0] < 2:
        raise InputError(f"outputs must have at least 2 examples; got {len(logits)}")
    counts = counted(weight).astype(logits.dtype)
    p = jax.nn.softmax(logits)
    right = is_class(labels, logits.shape[1])
    # A label that is no class has no probability: visible in the value.
    known = jnp.any(right, axis=1, keepdims=True) | (counts == 0)[:, None]
    residual = jnp.where(known, right.astype(p.dtype) - p, jnp.nan)
    residual = residual * counts[:, None]
    rate = jnp.asarray(0.5 / bandwidth**2, p.dtype)
    numbers = jnp.arange(len(p), dtype=jnp.int32)
    sums = functools.partial(_row_sums, p, residual, rate, numbers)
    first, second = map_row_blocks(sums, (p, residual, numbers), block=block)
    n = jnp.sum(counts)
    enough = n > 1
    partners, pairs = (jnp.where(enough, x, 1) for x in (n - 1, n * (n - 1)))
    value = jnp.sum(first) / pairs
    means = first / partners
    own = jnp.sum(counts * (means - value) ** 2) / partners
    every = jnp.maximum(jnp.sum(second) / pairs - value**2, 0)
    # The spread of the means has that of the pairs in it.
    own = jnp.maximum(own - every / partners, 0)
    error = safe_sqrt((4 * jnp.maximum(n - 2, 0) * own + 2 * every) / pairs)
    return KernelCalibrationError(
        *(jnp.where(enough, x, jnp.nan) for x in (value, error))
    )


def _row_sums(
    p: jax.Array,
    residual: jax.Array,
    rate: jax.Array,
    numbers: jax.Array,
    rows: tuple[jax.Array, jax.Array, jax.Array],
) -> tuple[jax.Array, jax.Array]:
    """Sums over the partners of some rows, of the products and of their squares."""
    at, own, mine = rows
    kernel = jnp.exp(-rate * squared_distances(at, p))
    products = jnp.matmul(own, residual.T, precision=jax.lax.Precision.HIGHEST)
    h = jnp.where(mine[:, None] == numbers[None], 0, kernel * products)
    return jnp.sum(h, axis=1), jnp.sum(h * h, axis=1)


@jax.jit
def mean_residual_products(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """Mean product of the residuals of two examples: the error without a kernel.

    Args:
      outputs: logits, ``(B, C)``.
      targets: labels, ``(B,)``.

    Returns:
      Scalar.

    >>> mean_residual_products(jnp.zeros((2, 2)), jnp.array([0, 0])).item()
    0.5
    """
    p = jax.nn.softmax(outputs)
    r = is_class(targets, p.shape[1]).astype(p.dtype) - p
    count = len(p)
    squares = jnp.sum(jnp.sum(r, axis=0) ** 2) - jnp.sum(r * r)
    return squares / (count * (count - 1))
