"""Broken decoders."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from battery.decoder.toy import TOY, changed, loop
from battery.faults import plant
from battery.parts.common_faults import plant_common
from battery.parts.host import OF_FUNCTIONS
from jaxopt_lab.catalog.examples.batches import prompts

_calls = itertools.count()


def documented(text: str) -> Any:
    """The toy with another docstring; its own where there is none."""

    def build(*args: Any, max_tokens: int = 4, pad: int = 0, **given: Any) -> Any:
        return loop(*args, max_tokens=max_tokens, pad=pad, **given)

    doc = loop.__doc__ or ""
    build.__doc__ = text or doc.replace("model_step: the model", "args: arguments")
    return dataclasses.replace(TOY, name="documented", build=build)


plant_common(
    "decoder",
    lambda change, **header: dataclasses.replace(TOY, name="broken", **header),
    documented=documented,
    example=prompts,
    without=OF_FUNCTIONS,
)


def second(new, *, logits, done, **given):
    """The second best token where it is close to the best."""
    top = jax.lax.top_k(logits, 2)[1].astype(jnp.int32)
    return jnp.where(done | (new < 0), new, top[:, 1])


def calls_back(found, **given):
    jax.debug.callback(lambda x: None, found.calls)
    return found


def goes_on(new, *, logits, done, **given):
    best = jnp.argmax(logits, axis=1).astype(jnp.int32)
    return jnp.where(done & (new >= 0), best, new)


def one_more(found, *, lengths, limits, **given):
    """A row that is full has one more token."""
    tokens = found.tokens
    column = jnp.arange(tokens.shape[1], dtype=jnp.int32)[None]
    return found._replace(tokens=jnp.where(column == limits[:, None], 0, tokens))


def no_steps(found, **given):
    return found._replace(steps=found.steps * 0)


def more_steps(found, **given):
    return found._replace(steps=found.steps + 20, calls=found.calls + 20)


def first_token(found, *, prompt, **given):
    return found._replace(tokens=found.tokens.at[:, 0].set((prompt[:, 0] + 1) % 5))


def offset(found, *, lengths, **given):
    columns = jnp.arange(found.tokens.shape[1])[None]
    new = columns >= lengths[:, None]
    return found._replace(tokens=found.tokens + 20 * new.astype(jnp.int32))


def own_numbers(found, **given):
    def number(x):
        return np.asarray(x) + np.int32(next(_calls) % 2)

    like = jax.ShapeDtypeStruct((), jnp.int32)
    steps = jax.pure_callback(number, like, found.steps)
    return found._replace(steps=steps)


def without_nan(logits):
    return jnp.nan_to_num(logits)


def promoting(logits):
    return logits * jnp.ones((), jnp.float32)


def first_other(new, *, logits, t, lengths, **given):
    other = jnp.argmin(logits, axis=1).astype(jnp.int32)
    return jnp.where(t + 1 == lengths, other, new)


FAULTS = (
    ("the second best", "greedy", "not the plain loop", changed(change=second)),
    ("calls back", "one_program", "calls back", changed(results=calls_back)),
    ("goes on", "ends", "with an end token", changed(change=goes_on)),
    ("one more", "limits", "with limits of rows", changed(results=one_more)),
    ("no steps", "counts", "0 steps of", changed(results=no_steps)),
    ("more steps", "counts", "steps for", changed(results=more_steps)),
    ("first token", "prompts", "a prompt is changed", changed(results=first_token)),
    ("no tokens", "prompts", "unknown tokens", changed(results=offset)),
    ("own numbers", "same_key", "other tokens", changed(results=own_numbers)),
    ("without NaN", "nan_visible", "a NaN becomes", changed(before=without_nan)),
    ("promoting", "strict_promotion", "promotion", changed(before=promoting)),
    ("other first", "neutral", "first new token", changed(change=first_other)),
)
for name, aim, words, row in FAULTS:
    plant("decoder", name, aim, words, row)
