"""Moments after nonlinearities."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

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


def softplus_moments(moments: Moments) -> Moments:
    r"""Moments after softplus, by its Taylor series of second order.

    .. math::
        \mu' = f + \tfrac12 f'' \Gamma_{ii}, \quad
        \Gamma'_{ii} = f'^2 \Gamma_{ii}, \quad
        \Gamma'_{ij} = f'_i f'_j \Gamma_{ij}
            - \tfrac14 f''_i f''_j \Gamma_{ii} \Gamma_{jj}.

    Args:
      moments: before.

    Returns:
      The moments after.

    The published code takes 0 for the derivative above 20; here it is 1.

    >>> exact = Moments(jnp.zeros(1), jnp.zeros((1, 1)))
    >>> round(float(softplus_moments(exact).mean[0]), 4)
    0.6931

    Source: as of ``relu_moments``.
    """
    mean, variance = moments.mean, moments.variance
    first = jax.nn.sigmoid(mean)
    second = first * (1 - first)
    bend = second * variance / 2
    covariance = first[:, None] * first[None] * moments.covariance
    covariance = covariance - bend[:, None] * bend[None]
    after = jax.nn.softplus(mean) + bend
    return Moments(after, with_diagonal(covariance, first**2 * variance))
