"""Dual activations: covariances behind an activation, of correlations before it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.hermite import hermite_basis, hilbert_weights
from jaxopt_lab.core.options import COUNT_OR_ZERO, Interval, check_arguments
from jaxopt_lab.core.trees import safe_sqrt
from jaxopt_lab.diagnostics.theory.gaussian_expectations import (
    Pointwise,
    gaussian_mean,
)

ROUNDING = 1e-12


class Dual(NamedTuple):
    r"""A dual activation, :math:`D(\xi) = E\, \phi(u) \phi(v)` at a correlation.

    u and v are standard normal with correlation :math:`\xi`, and D(1) = 1.

    Attributes:
      value: D, elementwise.
      slope: D'.
      weights: of the powers of a polynomial, from 0; or None.
    """

    value: Callable[[jax.Array], jax.Array]
    slope: Callable[[jax.Array], jax.Array]
    weights: tuple[float, ...] | None = None

    def quotient(self, xi: jax.Array) -> jax.Array:
        r""":math:`D(\xi) / \xi` of a polynomial without a constant, 0 included.

        Args:
          xi: any shape.

        Returns:
          As ``xi``.

        Raises:
          InputError: the dual is no polynomial, or D(0) is not 0.
        """
        if self.weights is None or abs(self.weights[0]) > ROUNDING:
            raise InputError("the dual must be a polynomial with D(0) = 0; got another")
        return _polynomial(self.weights[1:], xi)


def dual_activation(coefficients: ArrayLike | Sequence[float]) -> Dual:
    r"""The dual of a sum of orthonormal Hermite polynomials.

    .. math:: \phi = \sum_i a_i h_i, \qquad D(\xi) = \sum_i a_i^2 \xi^i

    Args:
      coefficients: :math:`a_i` from i = 0, of square sum 1: known numbers, of
        ``hermite_coefficients`` for instance.

    Returns:
      The ``Dual``.

    Raises:
      InputError: there is none, or their squares do not sum to 1 within 1e-6.

    >>> dual = dual_activation([0.0, 0.6, 0.8])
    >>> round(float(dual.value(jnp.array(0.5))), 4)
    0.34
    """
    squares = np.square(np.asarray(coefficients, np.float64))
    total = squares.sum() if squares.size else 0.0
    if squares.ndim != 1 or not abs(total - 1) < 1e-6:
        raise InputError(
            "coefficients must be numbers whose squares sum to 1, the mean square of "
            f"the activation; got a sum of {total}"
        )
    # To the last digit: D(1) is iterated.
    return _of_weights(tuple(float(w) for w in squares / total))


def hilbert_dual(dimension: int) -> Dual:
    """The dual of ``layers.hilbert_activation``.

    Args:
      dimension: d, that of the sphere of the data.

    Returns:
      The ``Dual``, with slopes ``2 ** (-d / 2)`` at 0 and 2 at 1 (d = 1: 1/2 and 4).

    Raises:
      InputError: ``dimension`` is below 1.

    >>> hilbert_dual(2).weights
    (0.0, 0.5, 0.0, 0.5)
    """
    return _of_weights(hilbert_weights(dimension))


def relu_dual() -> Dual:
    r"""The dual of :math:`\sqrt 2 \max(z, 0)`.

    .. math:: D(\xi) = \frac{\sqrt{1 - \xi^2} + (\pi - \arccos \xi)\, \xi}{\pi}, \qquad
        D'(\xi) = 1 - \frac{\arccos \xi}{\pi}

    Returns:
      The ``Dual``; the second derivative, infinite at the ends, is taken as 0 there.

    >>> [round(float(relu_dual().value(jnp.array(x))), 4) for x in (0.0, 1.0)]
    [0.3183, 1.0]
    """

    def parts(xi: jax.Array) -> tuple[jax.Array, jax.Array]:
        root = safe_sqrt(jnp.maximum((1 - xi) * (1 + xi), 0))
        return root, math.pi - jnp.arctan2(root, xi)

    def slope(xi: jax.Array) -> jax.Array:
        return parts(xi)[1] / math.pi

    @jax.custom_jvp
    def value(xi: jax.Array) -> jax.Array:
        root, opening = parts(xi)
        return (root + opening * xi) / math.pi

    # Root and angle have infinite slopes at 1, which cancel.
    value.defjvps(lambda t, y, xi: t * slope(xi))
    return Dual(value, slope)


def hermite_coefficients(
    function: Pointwise, *, degree: Annotated[int, COUNT_OR_ZERO]
) -> jax.Array:
    r"""The coefficients of an activation in orthonormal Hermite polynomials.

    .. math:: a_i = E\, \phi(z) h_i(z), \qquad z \sim \mathcal N(0, 1)

    Args:
      function: the activation, elementwise and smooth.
      degree: the last i.

    Returns:
      ``(degree + 1,)``, float64 where it is enabled; by ``gaussian_mean``, whose error
      is told there. Their squares sum to at most the mean square of the activation.

    Raises:
      InputError: ``degree`` is out of range.

    >>> [round(float(a), 3) for a in hermite_coefficients(jnp.square, degree=2)]
    [1.0, 0.0, 1.414]
    """
    check_arguments(hermite_coefficients, {"degree": degree})
    one = jnp.ones((), jax.dtypes.canonicalize_dtype(np.float64))

    def coefficient(i: int) -> jax.Array:
        def product(z: jax.Array) -> jax.Array:
            return function(z) * hermite_basis(z, degree=i)[i]

        return gaussian_mean(product, one)

    return jnp.stack([coefficient(i) for i in range(degree + 1)])


def solve_activation(
    exponent: Annotated[float, Interval(0.0, open_low=True)],
    *,
    degree: Annotated[int, Interval(2.0)] = 3,
) -> Dual:
    r"""The dual :math:`a \xi + (1 - a) \xi^p` of a wanted singular exponent.

    Args:
      exponent: :math:`\alpha` of ``singular_exponent``, the dimension of the data for
        consistency.
      degree: p.

    Returns:
      The ``Dual``; a by bisection, to the last digit.

    Raises:
      InputError: an argument is out of range.

    >>> [round(w, 6) for w in solve_activation(1.0, degree=7).weights if w]
    [0.5, 0.5]
    """
    check_arguments(solve_activation, {"exponent": exponent, "degree": degree})
    low, high = 0.0, 1.0
    while True:
        a = (low + high) / 2
        if a in (low, high):
            break
        b = a + degree * (1 - a)
        small = singular_exponent(a, b) < exponent
        low, high = (low, a) if small else (a, high)
    return _of_weights((0.0, a, *[0.0] * (degree - 2), 1 - a))


def singular_exponent(at_zero: float, at_one: float) -> float:
    r"""The exponent of the limiting kernel :math:`|x - x'|^{-\alpha}`.

    .. math:: \alpha = -2 \log D'(0) / \log D'(1)

    Args:
      at_zero: :math:`D'(0)`, between 0 and 1.
      at_one: :math:`D'(1)`, above 1.

    Returns:
      :math:`\alpha`.

    Raises:
      InputError: a slope is out of range.

    >>> singular_exponent(0.5, 2.0)
    2.0
    """
    if not 0 < at_zero < 1 < at_one:
        raise InputError(
            "slopes must be between 0 and 1 at 0, above 1 at 1; got "
            f"{at_zero} and {at_one}"
        )
    return -2 * math.log(at_zero) / math.log(at_one)


def classify_kernel(
    dual: Dual,
) -> Literal["nearest", "majority", "singular", "linear"]:
    """The classifier that the infinitely wide network becomes with its depth.

    Args:
      dual: of its activation.

    Returns:
      ``"majority"``, the vote of all, for D(0) above 0; ``"nearest"``, the nearest
      neighbour, for slope 0 at 0; ``"singular"``, a vote weighted by
      ``koenigs_function``; ``"linear"`` where D is the identity.

    >>> classify_kernel(hilbert_dual(3)), classify_kernel(relu_dual())
    ('singular', 'majority')
    """
    zero = jnp.zeros((), jax.dtypes.canonicalize_dtype(np.float64))
    if float(dual.value(zero)) > ROUNDING:
        return "majority"
    slope = float(dual.slope(zero))
    if slope > 1 - 1e-6:
        return "linear"
    return "singular" if slope > ROUNDING else "nearest"


def _of_weights(weights: tuple[float, ...]) -> Dual:
    slopes = tuple(i * w for i, w in enumerate(weights))[1:]
    return Dual(
        lambda xi: _polynomial(weights, xi), lambda xi: _polynomial(slopes, xi), weights
    )


def _polynomial(weights: Sequence[float], xi: ArrayLike) -> jax.Array:
    """By Horner's rule."""
    xi = jnp.asarray(xi)
    total = jnp.zeros_like(xi)
    for w in reversed(weights):
        total = total * xi + w
    return total
