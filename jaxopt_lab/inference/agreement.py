"""Agreement of two models: the Jensen-Shannon divergence of their predictions."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxopt_lab.core.divergences import jensen_shannon_divergence
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.trees import scalar_dtype


def jensen_shannon(first: jax.Array, second: jax.Array) -> jax.Array:
    r"""The Jensen-Shannon divergence of the softmax of logits, in nats.

    .. math:: \tfrac12 \mathrm{KL}(p \| m) + \tfrac12 \mathrm{KL}(q \| m), \quad
        m = \tfrac12 (p + q),

    between 0 and :math:`\log 2`; the digits stay where the predictions are close, and
    where a probability is zero (``core.divergences``).

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
    wide = scalar_dtype(first, second)
    both = jnp.stack([first.astype(wide), second.astype(wide)], axis=-2)
    return jensen_shannon_divergence(jax.nn.log_softmax(both))
