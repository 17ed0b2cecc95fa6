"""One round of speculative decoding, and the rows that take part in it."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.typing import Params
from jaxopt_lab.inference.decoded import ChunkStep
from jaxopt_lab.inference.filtered import filtered_logits
from jaxopt_lab.inference.verification import verified


class Draft(NamedTuple):
    """The model that drafts.

    Attributes:
      model_step: a ``ChunkStep`` with the vocabulary of the target.
      params: its parameters.
      cache: its cache before the first token, for as many positions as the target's.
    """

    model_step: ChunkStep
    params: Params
    cache: Any


def speculative_round(
    target: Draft,
    draft: Draft,
    last: jax.Array,
    count: jax.Array,
    *,
    key: jax.Array,
    drafts: int,
    temperature: float,
    top_k: int,
    top_p: float | jax.Array,
) -> tuple[jax.Array, jax.Array, Any, Any]:
    """Draft, and check by one call of the target.

    Args:
      target: the model that decides, with its cache.
      draft: the model that drafts.
      last: int32 ``(B,)``, the last token of each row, not yet in the caches.
      count: int32 ``(B,)``, tokens of each row.
      key: of the draws.
      drafts: tokens that are proposed.
      temperature: divisor of the logits; 0: the most probable token.
      top_k: as of ``filtered_logits``.
      top_p: as of ``filtered_logits``.

    Returns:
      ``(tokens (B, drafts + 1), taken (B,), cache, draft cache)``, the first two as of
      ``verified``.
    """
    draft_key, check_key = jax.random.split(key)
    options = {"temperature": temperature, "top_k": top_k, "top_p": top_p}

    def propose(carry: Any, i: jax.Array) -> Any:
        token, cache = carry
        # The last call, whose token is not proposed, fills the cache.
        logits, cache = draft.model_step(
            draft.params, cache, token[:, None], count - 1 + i
        )
        logits = logits[:, 0]
        if temperature > 0:
            # Logits that hold a NaN propose by equal chances.
            logits = jnp.where(jnp.isnan(logits).any(1, keepdims=True), 0, logits)
            logits = filtered_logits(logits, **options)
            own_key = jax.random.fold_in(draft_key, i)
            chosen = jax.random.categorical(own_key, logits)
        else:
            chosen = jnp.argmax(logits, axis=-1)
        chosen = chosen.astype(jnp.int32)
        return (chosen, cache), (chosen, logits)

    which = jnp.arange(drafts + 1, dtype=jnp.int32)
    (_, draft_cache), (chosen, guesses) = jax.lax.scan(
        propose, (last, draft.cache), which
    )
    chosen = chosen[:-1].T
    chunk = jnp.concatenate([last[:, None], chosen], axis=1)
    logits, cache = target.model_step(target.params, target.cache, chunk, count - 1)
    guesses = jnp.swapaxes(guesses[:-1], 0, 1)
    new, taken = verified(logits, chosen, guesses, key=check_key, **options)
    return new, taken, cache, draft_cache


def seated_rows(
    count: jax.Array, done: jax.Array, seats: int
) -> tuple[jax.Array, jax.Array]:
    """The rows of a pool that take part in the next round.

    If as many unfinished rows as there are seats have one length, the shortest such
    length is taken, so that the round needs no alignment; else the shortest unfinished
    rows, of several lengths.

    Args:
      count: int32 ``(N,)``, tokens of each row.
      done: booleans ``(N,)``, rows that have ended.
      seats: rows of a round, at most N.

    Returns:
      ``(rows, aligned)``: int32 ``(seats,)``, and whether all are unfinished and of one
      length. Rows that have ended fill seats that are left over.

    >>> count, done = jnp.array([7, 5, 7, 6]), jnp.zeros(4, bool)
    >>> rows, aligned = seated_rows(count, done, 2)
    >>> rows.tolist(), bool(aligned)
    ([0, 2], True)
    """
    alike = (count[:, None] == count[None]) & ~done[:, None] & ~done[None]
    enough = jnp.sum(alike, axis=1, dtype=jnp.int32) >= seats
    far = jnp.iinfo(jnp.int32).max
    length = jnp.min(jnp.where(enough, count, far))
    first = enough & (count == length)
    # 0: the group; then by length; rows that have ended come last.
    order = jnp.where(first, 0, jnp.where(done, far, count + 1))
    rows = jnp.argsort(order, stable=True)[:seats].astype(jnp.int32)
    return rows, jnp.any(first)
