"""Sampling: a token drawn at each step, by a temperature, top-k and top-p."""

from __future__ import annotations

from typing import Annotated, Any

import jax

from jaxopt_lab.core.argument_checks import check_key
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import (
    COUNT,
    COUNT_OR_ZERO,
    NON_NEGATIVE,
    SHARE,
    check_arguments,
)
from jaxopt_lab.core.typing import Params
from jaxopt_lab.inference.decoded import Decoded, ModelStep
from jaxopt_lab.inference.filtered import filtered_logits
from jaxopt_lab.inference.next_token import by_next_token


def sample(
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
    temperature: Annotated[float | jax.Array, NON_NEGATIVE] = 1.0,
    top_k: Annotated[int, COUNT_OR_ZERO] = 0,
    top_p: Annotated[float | jax.Array, SHARE] = 1.0,
) -> Decoded:
    r"""Extend prompts by :math:`x_{t+1} \sim \tilde p(v \mid x_{\le t})`.

    :math:`\tilde p` is the softmax of ``filtered_logits``: the model's distribution by
    a temperature, among the most probable tokens.

    Args:
      model_step: ``model_step(params, cache, tokens, position) -> (logits, cache)``.
      params: the model's parameters.
      prompt: integers ``(B, P)``; row b is ``prompt[b, :lengths[b]]``.
      cache: the model's cache before the first token, for ``P + max_tokens`` positions.
      key: of the draws, one for each position.
      lengths: integers ``(B,)`` in ``1 .. P``, may be traced; ``None``: P.
      limits: integers ``(B,)``, the most tokens of each row with its prompt, may be
        traced; ``None``: ``P + max_tokens``.
      max_tokens: positions beyond P. A shorter prompt may grow by more: all rows end
        at ``P + max_tokens`` tokens.
      end: token after which a row ends; -1: none.
      pad: written after the end of a row.
      temperature: divisor of the logits; 0: the most probable token. May be traced, as
        ``top_p``.
      top_k: number of the most probable tokens that are drawn from; 0: all.
      top_p: probability of the most probable tokens that are drawn from; 1: all.

    Returns:
      ``Decoded`` with ``P + max_tokens`` columns. One program for all lengths and ends.

    Raises:
      InputError: the prompt is no integer matrix with a token, ``lengths``, ``limits``
        or an option do not fit, or there is no key.

    Cost: as ``greedy``, and two sorts of the vocabulary a token with ``top_k`` or
    ``top_p``.

    Source: Fan et al., "Hierarchical Neural Story Generation", 2018 (top-k); Holtzman
    et al., "The Curious Case of Neural Text Degeneration", 2020 (top-p).

    >>> def model_step(params, cache, tokens, position):
    ...     return 50.0 * jax.nn.one_hot((tokens + params) % 5, 5), cache
    >>> prompt, key = jax.numpy.array([[1, 3]]), jax.random.key(0)
    >>> sample(model_step, 2, prompt, cache=(), key=key, max_tokens=3).tokens.tolist()
    [[1, 3, 0, 2, 4]]
    """
    given = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
    check_arguments(sample, {"max_tokens": max_tokens, **given})
    if key is None:
        raise InputError("key must be given: sampling draws with it; got None")
    check_key("key", key)

    def choose(logits: jax.Array, position: jax.Array) -> jax.Array:
        chances = filtered_logits(logits, **given)
        return jax.random.categorical(jax.random.fold_in(key, position), chances)

    return by_next_token(
        choose,
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
