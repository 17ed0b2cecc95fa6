"""Moments after nonlinearities."""

from __future__ import annotations

import math
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.diagnostics.hardware.moments import Moments, with_diagonal


def relu_moments(moments: Moments) -> Moments:
    r"""Moments of the rectified signals, each of them taken for Gaussian.

    With :math:`s^2 = \Gamma_{ii}`, :math:`a = s \varphi(\mu / s)` and
    :math:`b = \Phi(\mu / s)`,

    .. math::
        \mu' = a + \mu b, \quad
        \Gamma'_{ii} = \mu a + (s^2 + \mu^2) b - \mu'^2, \quad
        \Gamma'_{ij} = \Gamma_{ij} [\mu_i > 0] [\mu_j > 0].

    Args:
      moments: before.

    Returns:
      The moments after; for s = 0 those of ``relu(mean)``, with finite derivatives.

    >>> after = relu_moments(Moments(jnp.zeros(1), jnp.ones((1, 1))))
    >>> round(float(after.mean[0]), 4), round(float(after.variance[0]), 4)
    (0.3989, 0.3408)

    Source: Kern, Henwood, Mordido, Dupraz, Aissa-El-Bey, Savaria and Leduc-Primeau,
    "MemSE", IEEE AICAS 2022. Code followed: sebastienwood/MemSE.
    """
    mean, variance = moments.mean, moments.variance
    noisy = variance > 0
    safe = jnp.sqrt(jnp.where(noisy, variance, 1))
    ratio = mean / safe
    density = jnp.exp(-(ratio**2) / 2) / math.sqrt(2 * math.pi)
    a = jnp.where(noisy, safe * density, 0)
    b = jnp.where(noisy, jax.scipy.stats.norm.cdf(ratio), (mean > 0).astype(mean.dtype))
    after = a + mean * b
    spread = mean * a + (variance + mean**2) * b - after**2
    # The difference of two nearly equal numbers may fall below 0.
    spread = jnp.where(noisy, jnp.maximum(spread, 0), 0)
    active = mean > 0
    both = active[:, None] & active[None]
    covariance = jnp.where(both, moments.covariance, 0)
    return Moments(after, with_diagonal(covariance, spread))


def softplus_moments(moments: Moments, *, order: Literal[2, 4, 6] = 2) -> Moments:
    r"""Moments after softplus, by its Taylor series.

    Order 2, as published:

    .. math::
        \mu' = f + \tfrac12 f'' \Gamma_{ii}, \quad
        \Gamma'_{ii} = f'^2 \Gamma_{ii}, \quad
        \Gamma'_{ij} = f'_i f'_j \Gamma_{ij}
            - \tfrac14 f''_i f''_j \Gamma_{ii} \Gamma_{jj}.

    Orders 4 and 6, of Gaussian signals, without the terms of more than order / 2
    factors :math:`\Gamma`:

    .. math::
        \mu' = e_0, \quad \Gamma'_{ij} = \sum_{k \ge 1} \frac{\Gamma_{ij}^k}{k!}
            e_{k,i} e_{k,j}, \quad
        e_k = \sum_a \frac{f^{(k + 2a)}}{a!} \Bigl(\frac{\Gamma_{ii}}2\Bigr)^a.

    Args:
      moments: before.
      order: 2, 4 or 6.

    Returns:
      The moments after. Every order is for little noise: the error falls with the next
      power of the variance, and for deviations of several units a higher one is worse.

    Raises:
      InputError: another order.

    The published code takes 0 for the derivative above 20; here it is 1.

    >>> exact = Moments(jnp.zeros(1), jnp.zeros((1, 1)))
    >>> round(float(softplus_moments(exact).mean[0]), 4)
    0.6931

    Source: as of ``relu_moments``; the covariance of orders 4 and 6 is derived here.
    """
    if order not in (2, 4, 6):
        raise InputError(f"order must be 2, 4 or 6; got {order}")
    mean, variance = moments.mean, moments.variance
    if order > 2:
        return _softplus_series(moments, order // 2)
    first = jax.nn.sigmoid(mean)
    second = first * (1 - first)
    bend = second * variance / 2
    covariance = first[:, None] * first[None] * moments.covariance
    covariance = covariance - bend[:, None] * bend[None]
    after = jax.nn.softplus(mean) + bend
    return Moments(after, with_diagonal(covariance, first**2 * variance))


def _softplus_series(moments: Moments, powers: int) -> Moments:
    """The series up to so many factors of the covariance."""
    mean, variance = moments.mean, moments.variance
    slope = jax.nn.sigmoid(mean)
    derivatives = [jax.nn.softplus(mean)]
    # Each derivative is a polynomial of the sigmoid p, whose own one is p - p^2.
    polynomial = np.polynomial.Polynomial([0, 1])
    for _ in range(2 * powers):
        value = jnp.zeros_like(mean)
        for number in polynomial.coef[::-1].tolist():
            value = value * slope + number
        derivatives.append(value)
        polynomial = polynomial.deriv() * np.polynomial.Polynomial([0, 1, -1])

    def term(k: int, a: int) -> jax.Array:
        return derivatives[k + 2 * a] * (variance / 2) ** a / math.factorial(a)

    after = sum((term(0, a) for a in range(1, powers + 1)), derivatives[0])
    covariance = jnp.zeros_like(moments.covariance)
    for k in range(1, powers + 1):
        factor = moments.covariance**k / math.factorial(k)
        for a in range(powers - k + 1):
            for b in range(powers - k - a + 1):
                covariance += factor * term(k, a)[:, None] * term(k, b)[None]
    return Moments(after, covariance)
