"""Verification of drafted tokens by the target's logits."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.inference.filtered import filtered_logits


def verified(
    logits: jax.Array,
    drafted: jax.Array,
    guesses: jax.Array,
    *,
    key: jax.Array,
    temperature: float,
    top_k: int = 0,
    top_p: float | jax.Array = 1.0,
) -> tuple[jax.Array, jax.Array]:
    r"""Tokens of a round, and how many drafts are taken.

    Args:
      logits: the target's, ``(B, d + 1, V)``, the first one those of the first draft.
      drafted: int32 ``(B, d)``.
      guesses: the draft's logits that ``drafted`` is drawn from, filtered as the
        target's, ``(B, d, V)``; not used greedily.
      key: for sampling.
      temperature: divisor of the target's logits; 0: the most probable token.
      top_k: as of ``filtered_logits``; not used greedily.
      top_p: as of ``filtered_logits``; not used greedily.

    Returns:
      ``(tokens (B, d + 1), taken (B,))``: the first ``taken`` tokens are drafts, the
      next one is the target's, and what follows has no meaning. A target's token whose
      logits hold a NaN is -1.

    >>> logits = jax.nn.one_hot(jnp.array([[1, 2, 0]]), 3)
    >>> tokens, taken = verified(
    ...     logits, jnp.array([[1, 0]]), logits[:, :2], key=None, temperature=0.0
    ... )
    >>> tokens.tolist(), taken.tolist()
    ([[1, 2, 0]], [1])
    """
    broken = jnp.any(jnp.isnan(logits), axis=-1)
    if temperature > 0:
        wide = accumulation_dtype(logits.dtype)
        options = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        p = jax.nn.softmax(filtered_logits(logits, **options))
        q = jax.nn.softmax(guesses.astype(wide))
        of = lambda x: jnp.take_along_axis(x, drafted[..., None], axis=-1)[..., 0]
        uniform_key, own_key = jax.random.split(key)
        u = jax.random.uniform(uniform_key, drafted.shape, wide)
        # No division: q of a drafted token may be tiny.
        right = u * of(q) < of(p[:, :-1])
        rest = jnp.maximum(p[:, :-1] - q, 0)
        # Equal distributions refuse nothing but by rounding: the rest is 0 then.
        rest = jnp.where(jnp.any(rest > 0, axis=-1, keepdims=True), rest, p[:, :-1])
        rest = jnp.concatenate([rest, p[:, -1:]], axis=1)
        positive = rest > 0
        chances = jnp.where(positive, jnp.log(jnp.where(positive, rest, 1)), -jnp.inf)
        own = jax.random.categorical(own_key, chances).astype(jnp.int32)
    else:
        own = jnp.argmax(logits, axis=-1).astype(jnp.int32)
        right = drafted == own[:, :-1]
    own = jnp.where(broken, jnp.int32(-1), own)
    right = right & ~broken[:, :-1]
    taken = jnp.sum(jnp.cumprod(right.astype(jnp.int32), axis=1), axis=1)
    taken = taken.astype(jnp.int32)
    drafts = jnp.pad(drafted, ((0, 0), (0, 1)))
    slot = jnp.arange(own.shape[1], dtype=jnp.int32)[None]
    return jnp.where(slot < taken[:, None], drafts, own), taken
