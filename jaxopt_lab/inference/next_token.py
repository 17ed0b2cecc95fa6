"""The loop of decoders that make one token a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core.typing import Params
from jaxopt_lab.inference.decoded import Decoded, ModelStep
from jaxopt_lab.inference.prompts import checked_ends, checked_limits, checked_prompt


def by_next_token(
    choose: Callable[[jax.Array, jax.Array], jax.Array],
    model_step: ModelStep,
    params: Params,
    prompt: jax.Array,
    *,
    cache: Any,
    lengths: jax.Array | None,
    limits: jax.Array | None,
    max_tokens: int,
    end: int | jax.Array,
    pad: int,
) -> Decoded:
    """Extend prompts by one token a step, chosen from the logits.

    Args:
      choose: ``choose(logits, position) -> tokens (B,)``, of the logits ``(B, V)`` of
        the tokens behind an int32 ``position``; those that hold a NaN do not count.
      model_step: as of ``greedy``, and so are the others.
      params: the model's parameters.
      prompt: integers ``(B, P)``.
      cache: the model's cache before the first token.
      lengths: of the prompts.
      limits: the most tokens of each row.
      max_tokens: positions beyond P.
      end: token after which a row ends.
      pad: written after the end of a row.

    Returns:
      ``Decoded``; -1 in place of a token whose logits hold a NaN.
    """
    prompt, lengths = checked_prompt(prompt, lengths)
    end, pad_token = checked_ends(end, pad)
    rows, longest = prompt.shape
    total = longest + max_tokens
    limits = checked_limits(limits, lengths, total)
    filled = jnp.full((rows, max_tokens), pad, jnp.int32)
    tokens = jnp.concatenate([prompt, filled], axis=1)

    def unfinished(carry: Any) -> jax.Array:
        _, _, done, position, _ = carry
        return (position + 1 < total) & ~jnp.all(done)

    def advance(carry: Any) -> Any:
        tokens, cache, done, position, steps = carry
        given = jax.lax.dynamic_index_in_dim(tokens, position, 1, keepdims=False)
        # A negative token would be an index from the end.
        logits, cache = model_step(params, cache, jnp.maximum(given, 0), position)
        broken = jnp.any(jnp.isnan(logits), axis=-1)
        chosen = choose(logits, position).astype(jnp.int32)
        chosen = jnp.where(broken, jnp.int32(-1), chosen)
        present = jax.lax.dynamic_index_in_dim(tokens, position + 1, 1, keepdims=False)
        reading = position + 1 < lengths
        new = jnp.where(done, pad_token, chosen)
        new = jnp.where(reading, present, new)
        tokens = jax.lax.dynamic_update_index_in_dim(tokens, new, position + 1, 1)
        made = ~reading & ~done
        ended = broken | (chosen == end) | (position + 2 >= limits)
        done = done | (~reading & ended)
        steps = steps + jnp.any(made).astype(jnp.int32)
        return tokens, cache, done, position + 1, steps

    zero = jnp.zeros((), jnp.int32)
    start = tokens, cache, lengths >= limits, zero, zero
    tokens, _, _, calls, steps = jax.lax.while_loop(unfinished, advance, start)
    # The rest of a prompt's row, and what follows an early end of all rows.
    columns = jnp.arange(total, dtype=jnp.int32)[None]
    beyond = (columns > calls) & (columns >= lengths[:, None])
    return Decoded(jnp.where(beyond, pad_token, tokens), steps, calls)
