"""Divergences of predictions that keep their digits where the predictions are close."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

# exp(-800) is zero in float64, and 800 times it is no NaN as infinity times zero is.
_FAR = 800.0
# r e^r - (e^r - 1) = sum of (n - 1) r^n / n!, n >= 2; to 2e-17 of it for |r| <= 1/2.
_SERIES = [(n - 1) / math.factorial(n) for n in range(2, 16)]


def jensen_shannon_divergence(log_p: jax.Array) -> jax.Array:
    r"""The Jensen-Shannon divergence of several predictions, in nats.

    .. math:: H(\bar p) - \frac{1}{M} \sum_m H(p_m)
        = \sum_c \bar p(c) \frac{1}{M} \sum_m \varphi(r_m(c)), \quad
        r_m = \log p_m - \log \bar p, \quad \varphi(r) = r e^r - (e^r - 1),

    between 0 and :math:`\log M`. Every term of the second form is positive, and near 0
    it is a series: the difference of the entropies has no digits left where predictions
    are close.

    Args:
      log_p: logarithms of probabilities, ``(..., M, C)`` in float32 or float64; -inf
        is a class that is left out.

    Returns:
      ``(...)`` of its type: exactly 0 for equal predictions, NaN for NaN.

    Differentiable to any order, with derivative 0 at equal predictions. Memory: a few
    arrays of the size of the logarithms.

    >>> each = jnp.log(jnp.array([[1.0, 0.0], [0.0, 1.0]]))
    >>> jensen_shannon_divergence(each).round(4)
    Array(0.6931, dtype=float32)
    """
    log_p = jnp.maximum(log_p, jnp.asarray(-_FAR, log_p.dtype))
    largest = jax.lax.stop_gradient(jnp.max(log_p, axis=-2, keepdims=True))
    apart = log_p - largest
    # The logarithm of the mean of e^apart, exactly 0 where all are 0.
    log_mean = jnp.log1p(jnp.mean(jnp.expm1(apart), axis=-2, keepdims=True))
    each = jnp.mean(_phi(apart - log_mean), axis=-2)
    mean = jnp.exp(jnp.squeeze(largest + log_mean, axis=-2))
    return jnp.sum(mean * each, axis=-1)


def _phi(r: jax.Array) -> jax.Array:
    is_near = jnp.abs(r) <= 0.5
    near = jnp.where(is_near, r, 0)
    series = jnp.zeros_like(near)
    for coefficient in reversed(_SERIES):
        series = series * near + jnp.asarray(coefficient, r.dtype)
    return jnp.where(is_near, near * near * series, r * jnp.exp(r) - jnp.expm1(r))
