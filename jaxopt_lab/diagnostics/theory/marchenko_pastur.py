r"""The Marchenko-Pastur law: eigenvalues of a large random covariance matrix.

For a matrix ``X`` of N rows and P columns, independent entries of mean 0 and variance
1/N, the eigenvalues of the N x N matrix ``X X^T`` have for large N and P at fixed
:math:`\alpha = P/N` the density

.. math::
    \rho(\lambda) = \frac{\sqrt{(\lambda_+ - \lambda)(\lambda - \lambda_-)}}
    {2\pi\lambda} + \max(0, 1 - \alpha)\,\delta(\lambda),
    \qquad \lambda_\pm = (1 \pm \sqrt\alpha)^2,

where the atom at zero counts the directions that no sample covers. The mean is
:math:`\alpha` and the second moment :math:`\alpha + \alpha^2`. At finite N the averages
of smooth functions differ from this by terms of order 1/N, the smallest eigenvalue at
P = N is about :math:`1/N^2` instead of 0.

Reference: Marchenko and Pastur, "Distribution of eigenvalues for some sets of random
matrices", Math. USSR-Sbornik 1, 1967. Scaling as in Advani, Saxe and Sompolinsky,
arXiv:1710.03667.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxopt_lab.core.checks import check_positive_count
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.trees import safe_divide, safe_sqrt
from jaxopt_lab.diagnostics.theory.gaussian_expectations import wide


class Spectrum(NamedTuple):
    """A distribution of eigenvalues as points and their weights.

    Attributes:
      eigenvalues: shape ``(n,)``, at least 0, in descending order.
      weights: shape ``(n,)``, at least 0, sum 1.
    """

    eigenvalues: Array
    weights: Array


def check_ratio(name: str, value: object) -> None:
    """Refuse a Python number that is not a ratio of samples to features.

    Args:
      name: name of the argument, for the message.
      value: the argument; traced values pass.

    Raises:
      InputError: it is zero, negative, infinite or NaN.
    """
    number = known_number(value)
    if number is not None and not 0 < number < float("inf"):
        raise InputError(f"{name} must be positive and finite; got {value}")


def marchenko_pastur_edges(alpha: ArrayLike) -> tuple[Array, Array]:
    r"""Ends of the continuous part, :math:`(1 \mp \sqrt\alpha)^2`.

    Args:
      alpha: samples over features, P/N, positive; any shape.

    Returns:
      The lower and the upper edge, of the shape of ``alpha``.

    Raises:
      InputError: ``alpha`` is not positive and finite.

    >>> [float(edge) for edge in marchenko_pastur_edges(4.0)]
    [1.0, 9.0]
    """
    check_ratio("alpha", alpha)
    root = safe_sqrt(wide(alpha))
    return (1 - root) ** 2, (1 + root) ** 2


def marchenko_pastur_density(eigenvalue: ArrayLike, alpha: ArrayLike) -> Array:
    r"""Continuous part of the density; its integral is ``min(1, alpha)``.

    Args:
      eigenvalue: evaluation points, any shape.
      alpha: samples over features, P/N, positive; broadcast against it.

    Returns:
      The density, 0 outside of the edges and at ``eigenvalue = 0`` (where at
      ``alpha = 1`` it grows like :math:`1/(\pi\sqrt\lambda)`).

    Raises:
      InputError: ``alpha`` is not positive and finite.

    >>> round(float(marchenko_pastur_density(1.0, 1.0)), 4)  # sqrt(3) / (2 pi)
    0.2757
    """
    low, high = marchenko_pastur_edges(alpha)
    x = wide(eigenvalue)
    root = safe_sqrt(jnp.maximum((high - x) * (x - low), 0))
    return safe_divide(root, 2 * jnp.pi * x)


def marchenko_pastur(alpha: ArrayLike, nodes: int = 256) -> Spectrum:
    r"""Gauss rule of the law, its atom included.

    The law's orthogonal polynomials have a recurrence with constant coefficients, so
    its Jacobi matrix is :math:`B B^T` with ``B`` bidiagonal, :math:`\sqrt\alpha` on the
    diagonal and 1 below. The squared singular values of ``B`` are the nodes, the
    squared first entries of its left singular vectors the weights. Singular values
    are used because small eigenvalues of the product would lose twice as many digits
    and could be negative.

    Args:
      alpha: samples over features, P/N; a positive number or traced scalar.
      nodes: their number. The rule is exact for polynomials up to degree
        ``2 * nodes - 1``; for :math:`e^{-\lambda t}` it is at rounding error up to
        about ``t = nodes**2 / 40`` at ``alpha = 1``, where small eigenvalues are
        dense, and longer elsewhere.

    Returns:
      The spectrum, ``nodes`` points. For ``alpha < 1`` one node stands at zero and
      carries the atom. Differentiable in ``alpha``; cost ``O(nodes**3)``, once.

    Raises:
      InputError: ``alpha`` is not positive and finite, or ``nodes`` is no whole
        number of at least 1.

    >>> law = marchenko_pastur(0.5, nodes=8)
    >>> second = law.weights @ law.eigenvalues**2  # alpha + alpha**2
    >>> round(float(second), 5)
    0.75
    """
    check_ratio("alpha", alpha)
    check_positive_count("nodes", nodes)
    root = safe_sqrt(wide(alpha))
    if root.ndim:
        raise InputError(f"alpha must be a scalar; got shape {root.shape}")
    band = jnp.eye(nodes, dtype=root.dtype)
    below = jnp.eye(nodes, k=-1, dtype=root.dtype)
    vectors, values, _ = jnp.linalg.svd(root * band + below)
    return Spectrum(values**2, vectors[0] ** 2)
