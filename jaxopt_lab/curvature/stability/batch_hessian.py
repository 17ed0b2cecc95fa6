"""Extremal eigenvalues of the Hessian of a batch, by random matrix theory."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxopt_lab.core.checks import check_non_negative, check_positive_count
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.trees import safe_divide, safe_sqrt
from jaxopt_lab.core.typing import Scalar


def inverse_batch_size(
    batch_size: Scalar, dataset_size: Scalar | None = None
) -> jax.Array:
    """1/b = 1/B - 1/N, the inverse of the effective batch size b = B / (1 - B/N).

    Args:
      batch_size: B; at least 1.
      dataset_size: N; ``None``: infinitely many examples.

    Returns:
      Scalar or array of the shape of B; 0 for the full batch.

    Raises:
      InputError: numbers with B below 1 or above N.

    >>> float(1 / inverse_batch_size(50, 100))
    100.0
    """
    n = float("inf") if dataset_size is None else dataset_size
    size, largest = known_number(batch_size), known_number(n)
    if size is not None and largest is not None and not 1 <= size <= largest:
        raise InputError(f"batch_size must lie in 1 to {n}; got {batch_size}")
    b = jnp.asarray(batch_size, jnp.result_type(float))
    return 1 / b - 1 / jnp.asarray(n, b.dtype)


def batch_eigenvalue(
    eigenvalue: Scalar,
    element_variance: Scalar,
    num_params: int,
    batch_size: Scalar,
    *,
    dataset_size: Scalar | None = None,
) -> jax.Array:
    r"""An extremal eigenvalue of a batch's Hessian, from that of the whole set.

    The batch's Hessian as the whole one plus a symmetric random matrix with
    independent elements of variance :math:`s^2 / b`. An eigenvalue
    :math:`\lambda > s \sqrt{P/b}` leaves the noise's semicircle and is pushed out:

    .. math::
        \lambda' = \lambda + \frac{P s^2}{b \lambda}, \quad \text{else} \quad
        \lambda' = 2 s \sqrt{P / b},

    the edge of the semicircle. The two meet at the threshold.

    Args:
      eigenvalue: largest (or, negative, the smallest) of the whole set's Hessian.
      element_variance: s^2, variance of the elements of one example's Hessian, see
        ``element_variance``.
      num_params: P.
      batch_size: B.
      dataset_size: N, for batches without replacement; b is then B / (1 - B/N).

    Returns:
      The eigenvalue of the batch; for a negative one, mirrored. At 0 it is the upper
      edge.

    Raises:
      InputError: the variance is negative, or B or P is no size.

    The elements of a real network's Hessian are neither independent nor of one
    variance, and few directions hold most of it: compare with measured eigenvalues
    before use (``python -m experiments.studies.batch_hessian``). The version for
    the Gauss-Newton matrix is multiplicative; it is not here.

    >>> float(batch_eigenvalue(12.0, 1.0, 1500, 50))  # 12 + 1500 / (50 * 12)
    14.5
    >>> float(batch_eigenvalue(2.0, 1.0, 800, 50))  # 2 sqrt(800 / 50)
    8.0

    Reference: Granziol, Zohren and Roberts, "Learning Rates as a Function of Batch
    Size: A Random Matrix Theory Approach to Neural Network Training",
    arXiv:2006.09092; the formula is recalled, and checked here against matrices.
    """
    check_non_negative("element_variance", element_variance)
    check_positive_count("num_params", num_params)
    inverse = inverse_batch_size(batch_size, dataset_size)
    noise = num_params * jnp.asarray(element_variance, inverse.dtype) * inverse
    value = jnp.asarray(eigenvalue, inverse.dtype)
    size = jnp.abs(value)
    outside = size + safe_divide(noise, size)
    moved = jnp.where(size * size <= noise, 2 * safe_sqrt(noise), outside)
    return jnp.where(value < 0, -moved, moved)


def critical_batch_size(
    eigenvalue: Scalar, element_variance: Scalar, num_params: int
) -> jax.Array:
    r"""Effective batch size :math:`b^* = P s^2 / \lambda^2` at which noise takes over.

    Below it the eigenvalue is inside of the noise's semicircle; at it the batch's
    eigenvalue is twice the whole set's.

    Args:
      eigenvalue: largest of the whole set's Hessian.
      element_variance: s^2.
      num_params: P.

    Returns:
      b*; infinite for an eigenvalue of 0.

    Raises:
      InputError: the variance is negative, or P no size.

    >>> float(critical_batch_size(10.0, 1.0, 1500))
    15.0

    Reference: follows from the formula of ``batch_eigenvalue``.
    """
    check_non_negative("element_variance", element_variance)
    check_positive_count("num_params", num_params)
    value = jnp.asarray(eigenvalue, jnp.result_type(float))
    square = value * value
    noise = num_params * jnp.asarray(element_variance, value.dtype)
    return jnp.where(square <= 0, jnp.inf, safe_divide(noise, square))


def sgd_max_learning_rate(
    eigenvalue: Scalar,
    element_variance: Scalar,
    num_params: int,
    batch_size: Scalar,
    *,
    dataset_size: Scalar | None = None,
    edge: bool = True,
) -> jax.Array:
    r"""Largest learning rate of SGD, :math:`2 / \lambda'`.

    Args:
      eigenvalue: largest of the whole set's Hessian, above 0.
      element_variance: s^2.
      num_params: P.
      batch_size: B.
      dataset_size: N, or ``None``.
      edge: whether the second branch of ``batch_eigenvalue`` is used below the
        critical batch size b*. Without it the rate is
        :math:`\frac{2}{\lambda} \frac{b}{b + b^*}`: linear, then flat, which is the
        rule that the paper states. With it the slope in a log-log plot is nowhere
        above 1/2, as the edge of a semicircle falls with :math:`b^{-1/2}`.

    Returns:
      The learning rate; infinite where the eigenvalue and the noise are 0.

    Raises:
      InputError: see ``batch_eigenvalue``.

    >>> round(float(sgd_max_learning_rate(12.0, 1.0, 1500, 50)), 4)  # 2 / 14.5
    0.1379

    Reference: see ``batch_eigenvalue``.
    """
    if edge:
        moved = batch_eigenvalue(
            eigenvalue,
            element_variance,
            num_params,
            batch_size,
            dataset_size=dataset_size,
        )
    else:
        inverse = inverse_batch_size(batch_size, dataset_size)
        critical = critical_batch_size(eigenvalue, element_variance, num_params)
        moved = jnp.asarray(eigenvalue, inverse.dtype) * (1 + critical * inverse)
    return jnp.where(moved <= 0, jnp.inf, safe_divide(jnp.full_like(moved, 2), moved))


def adam_max_learning_rate(
    reference_rate: Scalar,
    reference_batch_size: Scalar,
    eigenvalue: Scalar,
    element_variance: Scalar,
    num_params: int,
    batch_size: Scalar,
    *,
    dataset_size: Scalar | None = None,
    edge: bool = True,
) -> jax.Array:
    r"""Largest learning rate of Adam at another batch size: square roots.

    .. math:: \eta = \eta_0 \sqrt{\lambda'(B_0) / \lambda'(B)},

    as an adaptive method has divided by something like the root of the curvature
    already. It grows with the square root of the batch size where SGD's grows
    linearly, then is flat.

    Args:
      reference_rate: eta_0, the largest rate found at the reference batch size: the
        theory gives no constant for Adam.
      reference_batch_size: B_0.
      eigenvalue: largest of the whole set's Hessian, above 0.
      element_variance: s^2.
      num_params: P.
      batch_size: B.
      dataset_size: N, or ``None``.
      edge: see ``sgd_max_learning_rate``.

    Returns:
      The learning rate.

    Raises:
      InputError: ``reference_rate`` is negative, or see ``batch_eigenvalue``.

    >>> rate = adam_max_learning_rate(0.01, 1, 1.0, 1.0, 10**6, 4, edge=False)
    >>> round(float(rate), 4)
    0.02

    Reference: see ``batch_eigenvalue``.
    """
    check_non_negative("reference_rate", reference_rate)

    def rate(size: Scalar) -> jax.Array:
        return sgd_max_learning_rate(
            eigenvalue,
            element_variance,
            num_params,
            size,
            dataset_size=dataset_size,
            edge=edge,
        )

    ratio = safe_divide(rate(batch_size), rate(reference_batch_size))
    return jnp.asarray(reference_rate, ratio.dtype) * safe_sqrt(ratio)
