"""Greedy decoding: the most probable token at each step."""

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.core.typing import Params
from jaxopt_lab.inference.decoded import Decoded, ModelStep
from jaxopt_lab.inference.next_token import by_next_token


def greedy(
    model_step: ModelStep,
    params: Params,
    prompt: jax.Array,
    *,
    cache: Any,
    key: jax.Array | None = None,
    lengths: jax.Array | None = None,
    limits: jax.Array | None = None,
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
      limits: integers ``(B,)``, the most tokens of each row with its prompt, may be
        traced; ``None``: ``P + max_tokens``.
      max_tokens: positions beyond P. A shorter prompt may grow by more: all rows end
        at ``P + max_tokens`` tokens.
      end: token after which a row ends; -1: none.
      pad: written after the end of a row.

    Returns:
      ``Decoded`` with ``P + max_tokens`` columns; of equal largest logits the first
      token is taken. One program for all lengths and ends.

    Raises:
      InputError: the prompt is no integer matrix with a token, or ``lengths``,
        ``limits`` and ``max_tokens`` do not fit.

    Cost: one call of the model for each position until all rows have ended, those of
    the prompt included; the cache and ``(B, P + max_tokens)`` integers.

    >>> def model_step(params, cache, tokens, position):
    ...     return jax.nn.one_hot((tokens + params) % 5, 5), cache
    >>> found = greedy(model_step, 2, jnp.array([[1, 3]]), cache=(), max_tokens=3)
    >>> found.tokens.tolist(), int(found.steps), int(found.calls)
    ([[1, 3, 0, 2, 4]], 3, 4)
    """
    del key
    check_arguments(greedy, {"max_tokens": max_tokens})
    return by_next_token(
        lambda logits, position: jnp.argmax(logits, axis=-1),
        model_step,
        params,
        prompt,
        cache=cache,
        lengths=lengths,
        limits=limits,
        max_tokens=max_tokens,
        end=end,
        pad=pad,
    )
