"""One step of CreditDecoding: credits, and the masked tokens that are decided."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.options import NON_NEGATIVE, UNIT, check_arguments

# A float32 probability next to the best of a row counts as the best.
_MARGIN = 1e-5


class CreditStep(NamedTuple):
    """The result of a step.

    Attributes:
      tokens: int32 ``(B, S)``, the most probable token at each column.
      decided: booleans ``(B, S)``, columns whose token is certain enough.
      credits: ``(B, S, V)``, float32 or float64, before those of decided columns are
        dropped.
    """

    tokens: jax.Array
    decided: jax.Array
    credits: jax.Array


def credit_step(
    logits: jax.Array,
    credits: jax.Array,
    masked: jax.Array,
    *,
    mask: int | jax.Array,
    threshold: Annotated[float, UNIT] = 0.9,
    alpha: Annotated[float, NON_NEGATIVE] = 0.7,
    gamma: Annotated[float, NON_NEGATIVE] = 0.2,
    beta: Annotated[float, UNIT] = 0.8,
) -> CreditStep:
    r"""Credits of the tokens that stay the most probable, and the tokens they decide.

    .. math:: c_v \gets \beta c_v + p_v^\gamma\, [v = \arg\max p], \quad
        q = \operatorname{softmax}(z + \alpha \log(1 + c)),

    at masked columns; a column is decided where :math:`\max q` is at least the
    threshold, or within 1e-5 of the largest of its row.

    Args:
      logits: :math:`z`, ``(B, S, V)``, real.
      credits: :math:`c`, ``(B, S, V)``, zeros before the first step.
      masked: booleans ``(B, S)``, columns without a token.
      mask: the mask token; it is never a result.
      threshold: least probability of a decided token.
      alpha: weight of credits, in logits; 0: threshold decoding without them.
      gamma: power of a probability in its credit.
      beta: decay of credits a step.

    Returns:
      Tokens, decided columns and credits. At least one column of a row with masked
      columns is decided, unless its logits hold a NaN.

    Raises:
      InputError: an option is out of its range.

    >>> logits = jnp.log(jnp.array([[[0.5, 0.4, 0.1], [0.9, 0.05, 0.05]]]))
    >>> masked = jnp.ones((1, 2), bool)
    >>> found = credit_step(logits, jnp.zeros((1, 2, 3)), masked, mask=2)
    >>> found.tokens.tolist(), found.decided.tolist()
    ([[0, 0]], [[False, True]])
    """
    check_arguments(credit_step, locals())
    dtype = credits.dtype
    logits = logits.astype(dtype)
    vocabulary = jnp.arange(logits.shape[-1], dtype=jnp.int32)
    usable = vocabulary != jnp.asarray(mask, jnp.int32)

    def best(logits: jax.Array) -> tuple[jax.Array, jax.Array]:
        p = jnp.where(usable[None, None], jax.nn.softmax(logits), -1)
        return jnp.argmax(p, axis=-1).astype(jnp.int32), jnp.max(p, axis=-1)

    weight, power, decay, least = (
        jnp.asarray(x).astype(dtype) for x in (alpha, gamma, beta, threshold)
    )
    token, probability = best(logits)
    gained = jnp.where(masked, probability**power, 0)
    is_best = token[..., None] == vocabulary[None, None]
    credits = decay * credits + jnp.where(is_best, gained[..., None], 0)
    tokens, certain = best(logits + weight * jnp.log1p(credits))
    certain = jnp.where(masked, certain, -1)
    largest = jnp.max(certain, axis=1, keepdims=True)
    bound = jnp.minimum(largest - jnp.asarray(_MARGIN, dtype), least)
    return CreditStep(tokens, masked & (certain >= bound), credits)
