r"""Expectations of smooth functions of one or two Gaussian variables.

The rule is the trapezoidal one, 128 equal steps over 8.5 standard deviations to
either side. For an analytic function under a Gaussian weight it converges
geometrically, and it beats the Gauss-Hermite rule of as many nodes, which spends half
of them where the weight is below the rounding error. Measured on ``tanh(z)**2``,
whose poles at :math:`\pm i\pi/2` come close to the axis as the variance grows:

========  =================  ==========================
variance  error (128 nodes)  Gauss-Hermite of 64 nodes
========  =================  ==========================
1         1e-16              3e-9
4         7e-15              9e-5
10        2e-9               3e-3
25        4e-6               2e-2
100       1.5e-3             6e-2
========  =================  ==========================

(``tests/curvature/test_gaussian_expectations.py`` holds the middle column.) For a
function with a kink the error is of second order in the step, and the derivatives are
wrong, because they are computed from the derivatives of the function.
"""
# Its examples wait for pytest --full.

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike, DTypeLike

from jaxopt_lab.core.trees import accumulation_dtype, safe_divide, safe_sqrt

Pointwise = Callable[[Array], Array]

NODES = 128
_REACH = 8.5  # the weight beyond is 2e-17


def wide(x: ArrayLike) -> Array:
    """The array in the real dtype of these computations.

    Args:
      x: number or array of any real type.

    Returns:
      float64 if ``x`` is, else float32.
    """
    array = jnp.asarray(x)
    return array.astype(accumulation_dtype(array.dtype))


def gaussian_mean(function: Pointwise, variance: ArrayLike) -> Array:
    r"""Mean of ``function(z)`` with ``z ~ N(0, variance)``.

    Args:
      function: acts on every element by itself; twice differentiable.
      variance: any shape, at least 0; a negative entry gives NaN.

    Returns:
      The means, of the shape of ``variance``, float32 or better. The error is in the
      head of this module. The derivative is
      :math:`\partial_K E f(z) = \tfrac12 E f''(z)`, of all orders and also at
      ``variance = 0``, where the derivative of a square root would be infinite.

    >>> float(gaussian_mean(jnp.square, 3.0))
    3.0
    >>> float(jax.grad(lambda k: gaussian_mean(lambda z: z**4, k))(0.0))
    0.0
    """
    return jnp.vectorize(functools.partial(_mean, function))(wide(variance))


def gaussian_pair_mean(
    first: Pointwise,
    second: Pointwise,
    variance_a: ArrayLike,
    variance_b: ArrayLike,
    covariance: ArrayLike,
) -> Array:
    r"""Mean of ``first(z_a) * second(z_b)`` over two correlated Gaussians.

    Args:
      first: acts on every element by itself; twice differentiable.
      second: the same.
      variance_a: of ``z_a``, any shape, at least 0.
      variance_b: of ``z_b``, broadcast against it.
      covariance: of the two, broadcast against them. Where it is larger than the
        variances allow, as rounding may leave it, the two are taken as equal up to
        their scale.

    Returns:
      The means, float32 or better. Derivatives (Price's theorem), of all orders and
      also at zero variance and at correlation 1:
      :math:`\partial_{K_{ab}} = E[f'(z_a) g'(z_b)]` and
      :math:`\partial_{K_{aa}} = \tfrac12 E[f''(z_a) g(z_b)]`. Memory: 16384 numbers
      for an entry.

    >>> float(gaussian_pair_mean(lambda z: z, lambda z: z, 1.0, 4.0, 1.5))
    1.5
    """
    core = jnp.vectorize(functools.partial(_pair_mean, first, second))
    return core(wide(variance_a), wide(variance_b), wide(covariance))


def _rule(dtype: DTypeLike) -> tuple[Array, Array]:
    nodes = np.linspace(-_REACH, _REACH, NODES)
    weights = np.exp(-(nodes**2) / 2)
    return jnp.asarray(nodes, dtype), jnp.asarray(weights / weights.sum(), dtype)


def _derivative(function: Pointwise) -> Pointwise:
    return lambda z: jax.jvp(function, (z,), (jnp.ones_like(z),))[1]


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _mean(function: Pointwise, variance: Array) -> Array:
    nodes, weights = _rule(variance.dtype)
    return jnp.sum(weights * function(jnp.sqrt(variance) * nodes))


@_mean.defjvp
def _mean_jvp(function, primals, tangents):
    (variance,), (tangent,) = primals, tangents
    curved = _derivative(_derivative(function))
    slope = _mean(curved, variance) / 2
    return _mean(function, variance), slope * tangent


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _pair_mean(
    first: Pointwise, second: Pointwise, kaa: Array, kbb: Array, kab: Array
) -> Array:
    nodes, weights = _rule(kaa.dtype)
    scale = jnp.where(kaa < 0, jnp.nan, safe_sqrt(kaa))
    along = safe_divide(kab, scale)
    across = safe_sqrt(jnp.where(kbb < 0, jnp.nan, jnp.maximum(kbb - along**2, 0)))
    z_b = along * nodes[:, None] + across * nodes[None, :]
    given_a = jnp.sum(second(z_b) * weights[None, :], axis=1)
    return jnp.sum(weights * first(scale * nodes) * given_a)


@_pair_mean.defjvp
def _pair_mean_jvp(first, second, primals, tangents):
    daa, dbb, dab = tangents
    first_1, second_1 = _derivative(first), _derivative(second)
    slope_a = _pair_mean(_derivative(first_1), second, *primals) / 2
    slope_b = _pair_mean(first, _derivative(second_1), *primals) / 2
    slope_ab = _pair_mean(first_1, second_1, *primals)
    tangent = slope_a * daa + slope_b * dbb + slope_ab * dab
    return _pair_mean(first, second, *primals), tangent
