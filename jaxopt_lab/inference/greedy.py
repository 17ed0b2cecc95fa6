"""Greedy decoding: the most probable token at each step."""

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.core.typing import Params
from jaxopt_lab.inference.decoded import Decoded, ModelStep
from jaxopt_lab.inference.prompts import checked_prompt


def greedy(
    model_step: ModelStep,
    params: Params,
    prompt: jax.Array,
    *,
    cache: Any,
    key: jax.Array | None = None,
    lengths: jax.Array | None = None,
    max_tokens: Annotated[int, COUNT] = 32,
    end: int | jax.Array = -1,
    pad: int = 0,
) -> Decoded:
    r"""Extend prompts by :math:`x_{t+1} = \arg\max_v p(v \mid x_{\le t})`.

    Args:
      model_step: ``model_step(params, cache, tokens, position) -> (logits, cache)``.
      params: the model's parameters.
      prompt: integers ``(B, P)``; row b is ``prompt[b, :lengths[b]]``.
      cache: the model's cache before the first token, for ``P + max_tokens`` positions.
      key: not used; every decoder takes one.
      lengths: integers ``(B,)`` in ``1 .. P``, may be traced; ``None``: P.
      max_tokens: positions beyond P. A shorter prompt may grow by more: all rows end
        at ``P + max_tokens`` tokens.
      end: token after which a row ends; -1: none.
      pad: written after the end of a row.

    Returns:
      ``Decoded`` with ``P + max_tokens`` columns; of equal largest logits the first
      token is taken. One program for all lengths and ends.

    Raises:
      InputError: the prompt is no integer matrix with a token, or ``lengths`` and
        ``max_tokens`` do not fit.

    Cost: one call of the model for each position until all rows have ended, those of
    the prompt included; the cache and ``(B, P + max_tokens)`` integers.

    >>> def model_step(params, cache, tokens, position):
    ...     return jax.nn.one_hot((tokens + params) % 5, 5), cache
    >>> found = greedy(model_step, 2, jnp.array([[1, 3]]), cache=(), max_tokens=3)
    >>> found.tokens.tolist(), int(found.steps), int(found.calls)
    ([[1, 3, 0, 2, 4]], 3, 4)
    """
    del key
    prompt, lengths = checked_prompt(prompt, lengths)
    check_arguments(greedy, {"max_tokens": max_tokens})
    rows, longest = prompt.shape
    total = longest + max_tokens
    filled = jnp.full((rows, max_tokens), pad, jnp.int32)
    tokens = jnp.concatenate([prompt, filled], axis=1)
    end, pad_token = jnp.asarray(end, jnp.int32), jnp.int32(pad)

    def unfinished(carry: Any) -> jax.Array:
        _, _, done, position, _ = carry
        return (position + 1 < total) & ~jnp.all(done)

    def advance(carry: Any) -> Any:
        tokens, cache, done, position, steps = carry
        given = jax.lax.dynamic_index_in_dim(tokens, position, 1, keepdims=False)
        # A negative token would be an index from the end.
        logits, cache = model_step(params, cache, jnp.maximum(given, 0), position)
        best = jnp.argmax(logits, axis=-1).astype(jnp.int32)
        broken = jnp.any(jnp.isnan(logits), axis=-1)
        best = jnp.where(broken, jnp.int32(-1), best)
        present = jax.lax.dynamic_index_in_dim(tokens, position + 1, 1, keepdims=False)
        reading = position + 1 < lengths
        new = jnp.where(done, pad_token, best)
        new = jnp.where(reading, present, new)
        tokens = jax.lax.dynamic_update_index_in_dim(tokens, new, position + 1, 1)
        made = ~reading & ~done
        done = done | (~reading & (broken | (best == end)))
        steps = steps + jnp.any(made).astype(jnp.int32)
        return tokens, cache, done, position + 1, steps

    zero = jnp.zeros((), jnp.int32)
    start = tokens, cache, jnp.zeros((rows,), bool), zero, zero
    tokens, _, _, calls, steps = jax.lax.while_loop(unfinished, advance, start)
    # The rest of a prompt's row, and what follows an early end of all rows.
    columns = jnp.arange(total, dtype=jnp.int32)[None]
    beyond = (columns > calls) & (columns >= lengths[:, None])
    return Decoded(jnp.where(beyond, pad_token, tokens), steps, calls)
