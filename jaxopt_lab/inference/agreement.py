"""Agreement of two models: the Jensen-Shannon divergence of their predictions."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.trees import accumulation_dtype

# exp(-800) is zero in float64, and 800 times it is no NaN as infinity times zero is.
_FAR = 800.0


def jensen_shannon(first: jax.Array, second: jax.Array) -> jax.Array:
    r"""The Jensen-Shannon divergence of the softmax of logits, in nats.

    .. math:: \tfrac12 \mathrm{KL}(p \| m) + \tfrac12 \mathrm{KL}(q \| m), \quad
        m = \tfrac12 (p + q),

    between 0 and :math:`\log 2`. With :math:`h = |\log p - \log q|`, class by
    class, it is a sum of functions of :math:`h` and of the larger probability that keep
    their digits where :math:`h` is small and where one probability is zero.

    Args:
      first: real logits ``(..., C)``; -inf is a class that is left out.
      second: logits of the same shape and type.

    Returns:
      ``(...)``, float32 (float64 for float64): exactly 0 for equal logits, NaN for NaN.

    Raises:
      InputError: the shapes differ, or there is no class.

    Differentiable to any order, with derivative 0 at equal logits; memory: a few arrays
    of the size of the logits.

    >>> jensen_shannon(jnp.array([0.0, -jnp.inf]), jnp.array([-jnp.inf, 3.0])).round(4)
    Array(0.6931, dtype=float32)
    """
    first, second = jnp.asarray(first), jnp.asarray(second)
    if first.shape != second.shape or first.ndim == 0 or first.shape[-1] == 0:
        raise InputError(
            "the logits of two models must have one shape with an axis of classes; got "
            f"{first.shape} and {second.shape}"
        )
    for logits in (first, second):
        if not jnp.issubdtype(logits.dtype, jnp.floating):
            raise InputError(f"logits must be real floating; got {logits.dtype}")
    wide = accumulation_dtype(jnp.promote_types(first.dtype, second.dtype))
    log_p = jax.nn.log_softmax(first.astype(wide))
    log_q = jax.nn.log_softmax(second.astype(wide))
    absent = jnp.isneginf(log_p) & jnp.isneginf(log_q)
    log_p, log_q = (jnp.where(absent, -_FAR, x) for x in (log_p, log_q))
    apart = jnp.minimum(jnp.abs(log_p - log_q), jnp.asarray(_FAR, wide))
    larger = jnp.exp(jnp.maximum(log_p, log_q))
    ratio = jnp.exp(-apart)
    is_near = apart < 1
    near = jnp.where(is_near, apart, 0)
    # log cosh(h / 2), from sinh: 1 is not subtracted from a number next to it.
    log_cosh = jnp.log1p(2 * jnp.sinh(near / 4) ** 2)
    close = -jnp.expm1(-near) * near / 4 - (1 + ratio) / 2 * log_cosh
    log_two = jnp.log(jnp.asarray(2, wide))
    far = ((1 + ratio) * (log_two - jnp.log1p(ratio)) - apart * ratio) / 2
    return jnp.sum(larger * jnp.where(is_near, close, far), axis=-1)
