"""A sound decoder, small enough to be broken in one place."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lab.catalog.examples.batches import prompts
from jaxopt_lab.catalog.schema import Decoder, Neutral
from jaxopt_lab.inference import Decoded


def loop(
    model_step: Any,
    params: Any,
    prompt: Any,
    *,
    cache: Any,
    key: Any = None,
    lengths: Any,
    limits: Any = None,
    max_tokens: int = 4,
    end: Any = -1,
    pad: int = 0,
    change: Callable[..., Any] = lambda new, **given: new,
    before: Callable[[Any], Any] = lambda logits: logits,
) -> Decoded:
    """Greedy decoding without an early end.

    Args:
      model_step: the model.
      params: its parameters.
      prompt: tokens.
      cache: its cache.
      key: not used.
      lengths: of the prompts.
      limits: the most tokens of each row.
      max_tokens: new tokens.
      end: token that ends a row.
      pad: after it.
      change: changes the new tokens.
      before: changes the logits.

    Returns:
      The tokens.

    >>> loop.__name__
    'loop'
    """
    rows, longest = prompt.shape
    filled = jnp.full((rows, max_tokens), pad, jnp.int32)
    tokens = jnp.concatenate([prompt, filled], axis=1)

    def advance(t: Any, carry: Any) -> Any:
        tokens, cache, done = carry
        logits, cache = model_step(params, cache, jnp.maximum(tokens[:, t], 0), t)
        logits = before(logits)
        bad = jnp.any(jnp.isnan(logits), axis=1)
        best = jnp.argmax(logits, axis=1).astype(jnp.int32)
        new = jnp.where(done, jnp.int32(pad), jnp.where(bad, jnp.int32(-1), best))
        new = change(new, logits=logits, key=key, t=t, lengths=lengths, done=done)
        reading = t + 1 < lengths
        full = False if limits is None else t + 2 >= limits
        done = done | (~reading & ((new == end) | bad | full))
        new = jnp.where(reading, tokens[:, t + 1], new)
        return tokens.at[:, t + 1].set(new), cache, done

    last = longest + max_tokens - 1
    none = jnp.zeros(rows, bool)
    start = tokens, cache, none if limits is None else lengths >= limits
    tokens, _, _ = jax.lax.fori_loop(jnp.int32(0), jnp.int32(last), advance, start)
    calls = jnp.int32(last)
    return Decoded(tokens, calls + 1 - jnp.min(lengths).astype(jnp.int32), calls)


TOY = Decoder(
    name="loop",
    summary="the toy",
    build=loop,
    reduces_to=Neutral({"max_tokens": 1}, jnp.argmax),  # type: ignore[arg-type]
    options=("max_tokens", "pad"),
    example=prompts,
    exact_when="always",
)
TOYS = (TOY,)


def changed(
    *,
    results: Callable[..., Any] = lambda found, **given: found,
    header: Any = None,
    **changes: Any,
) -> Decoder:
    """The toy with ``change`` or ``before``, or ``results(found, **given)``."""

    def build(
        model_step: Any,
        params: Any,
        prompt: Any,
        *,
        max_tokens: int = 4,
        pad: int = 0,
        **given: Any,
    ) -> Any:
        given = {**given, "max_tokens": max_tokens, "pad": pad}
        found = loop(model_step, params, prompt, **given, **changes)
        return results(found, prompt=prompt, params=params, **given)

    build.__doc__ = loop.__doc__
    new = {} if header is None else header
    return dataclasses.replace(TOY, name="broken", build=build, **new)
