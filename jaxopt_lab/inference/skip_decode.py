"""SkipDecode: greedy decoding with fewer layers at later positions."""

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core.options import COUNT, COUNT_OR_ZERO, check_arguments
from jaxopt_lab.core.typing import Params
from jaxopt_lab.inference.decoded import Decoded, LayeredStep
from jaxopt_lab.inference.exit_schedule import active_layers, exit_schedule
from jaxopt_lab.inference.next_token import by_next_token
from jaxopt_lab.inference.prompts import checked_prompt


def skip_decode(
    model_step: LayeredStep,
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
    max_layers: Annotated[int, COUNT_OR_ZERO] = 0,
    min_layers: Annotated[int, COUNT_OR_ZERO] = 0,
    warmup: Annotated[int, COUNT_OR_ZERO] = 1,
    prompt_decay: bool = False,
) -> Decoded:
    r"""Extend prompts by the most probable token of a part of the layers.

    At position t of T run the first w layers and the last :math:`n_t - w`, with
    :math:`n_t` falling from ``max_layers`` to ``min_layers`` (``exit_schedule``); the
    lower middle ones are skipped. A layer that runs has run at every earlier position,
    so that no key or value is missing.

    Args:
      model_step: embedding, layers and head, a ``LayeredStep``.
      params: the model's parameters.
      prompt: integers ``(B, P)``; row b is ``prompt[b, :lengths[b]]``.
      cache: a cache of each layer before the first token, a tuple.
      key: not used; every decoder takes one.
      lengths: integers ``(B,)`` in ``1 .. P``, may be traced; ``None``: P.
      limits: integers ``(B,)``, the most tokens of each row with its prompt, may be
        traced; ``None``: ``P + max_tokens``.
      max_tokens: positions beyond P; T is ``P + max_tokens``.
      end: token after which a row ends; -1: none.
      pad: written after the end of a row.
      max_layers: layers of the first position; 0: all.
      min_layers: layers of the last position; 0: ``max_layers``.
      warmup: first layers that always run.
      prompt_decay: whether the schedule counts in the prompt too, whose positions have
        ``max_layers`` otherwise.

    Returns:
      ``Decoded`` with ``P + max_tokens`` columns; ``counts`` has the ``"layers"`` that
      ran, each position as often as its call. One program for all lengths and ends; a
      row's tokens do not depend on the others.

    Raises:
      InputError: the prompt is no integer matrix with a token, or ``lengths`` or an
        option do not fit.

    Cost: a layer that no row needs is not run. Under ``vmap`` all are.

    Source: Del Corro et al., "SkipDecode: Autoregressive Skip Decoding with Batching
    and Caching for Efficient LLM Inference", 2023 (https://arxiv.org/abs/2307.02628),
    from the abstract: the linear schedule is ours. The model is meant to be trained
    with it (``masked_forward``).

    >>> block = lambda params, layer, x, cache, position: (jnp.roll(x, 1, 1), cache)
    >>> step = LayeredStep(
    ...     lambda params, tokens, position: jax.nn.one_hot(tokens, 5), block,
    ...     lambda params, x: x, 3)
    >>> options = {"cache": ((),) * 3, "max_tokens": 4, "max_layers": 3}
    >>> found = skip_decode(step, (), jnp.array([[1, 4]]), min_layers=2, **options)
    >>> found.tokens.tolist(), int(found.counts["layers"])
    ([[1, 4, 2, 0, 2, 4]], 13)
    """
    del key
    given = {"max_tokens": max_tokens, "max_layers": max_layers, "warmup": warmup}
    given |= {"min_layers": min_layers, "prompt_decay": prompt_decay}
    check_arguments(skip_decode, given)
    prompt, lengths = checked_prompt(prompt, lengths)
    layers, total = model_step.layers, prompt.shape[1] + max_tokens
    most = max_layers or layers
    schedule = exit_schedule(
        total,
        layers=layers,
        max_layers=most,
        min_layers=min_layers or most,
        warmup=min(warmup, layers),
    )
    whole = active_layers(schedule, layers=layers, warmup=warmup)
    table, counts = jnp.asarray(whole), jnp.asarray(schedule)

    def step(params: Params, cache: Any, tokens: jax.Array, position: jax.Array) -> Any:
        reading = (position < lengths) & (not prompt_decay)
        here = jax.lax.dynamic_index_in_dim(table, position, 0)
        active = jnp.where(reading[:, None], table[:1], here)
        x, caches = model_step.embed(params, tokens, position), []
        for layer, held in enumerate(cache):

            def run(x: Any, held: Any, layer: int = layer) -> Any:
                return model_step.block(params, layer, x, held, position)

            on = active[:, layer]
            if whole[:, layer].all():
                x, held = run(x, held)
            elif whole[:, layer].any():
                leave = lambda x, held: (x, held)
                y, held = jax.lax.cond(jnp.any(on), run, leave, x, held)
                x = jnp.where(on.reshape(on.shape + (1,) * (x.ndim - 1)), y, x)
            caches.append(held)
        return model_step.head(params, x), tuple(caches)

    found = by_next_token(
        lambda logits, position: jnp.argmax(logits, axis=-1),
        step,
        params,
        prompt,
        cache=cache,
        lengths=lengths,
        limits=limits,
        max_tokens=max_tokens,
        end=end,
        pad=pad,
    )
    position = jnp.arange(total, dtype=jnp.int32)
    read = (position < jnp.max(lengths)) & (not prompt_decay)
    ran = jnp.where(position < found.calls, jnp.where(read, most, counts), 0)
    return found._replace(counts={"layers": jnp.sum(ran, dtype=jnp.int32)})
