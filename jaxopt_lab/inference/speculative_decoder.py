"""Batch speculative decoding: a small model drafts, a large one checks in one call."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, NON_NEGATIVE, STATIC, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Params
from jaxopt_lab.inference.decoded import ChunkStep, Decoded
from jaxopt_lab.inference.prompts import checked_prompt
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


def speculative(
    model_step: ChunkStep,
    params: Params,
    prompt: jax.Array,
    *,
    draft: Draft,
    cache: Any,
    key: jax.Array | None = None,
    lengths: jax.Array | None = None,
    max_tokens: Annotated[int, COUNT] = 32,
    end: int | jax.Array = -1,
    pad: int = 0,
    drafts: Annotated[int, COUNT, STATIC] = 4,
    temperature: Annotated[float, NON_NEGATIVE, STATIC] = 0.0,
) -> Decoded:
    r"""Extend prompts by the target's tokens, several in one call of it.

    In a round the draft proposes :math:`y_1 .. y_d`, and one call of the target on the
    last token and these gives its distributions :math:`p_1 .. p_{d+1}`. Greedily, the
    longest prefix of drafts equal to :math:`\arg\max p_i` is taken, and the target's
    next token after it. With a temperature, :math:`y_i \sim q_i` is taken with
    probability

    .. math:: \min(1, p_i(y_i) / q_i(y_i)),

    the first refused one is drawn again from :math:`\max(p_i - q_i, 0)`, normalized,
    and after :math:`d` taken ones a token of :math:`p_{d+1}` follows: the tokens have
    the target's distribution, whatever the draft.

    Rows have positions of their own, so that a row that takes more drafts than another
    needs no realignment of caches, and its tokens do not depend on the others.

    Args:
      model_step: ``model_step(params, cache, tokens, positions) -> (logits, cache)``, a
        ``ChunkStep``.
      params: the target's parameters.
      prompt: integers ``(B, P)``; row b is ``prompt[b, :lengths[b]]``.
      draft: the drafting model.
      cache: the target's cache before the first token, for
        ``P + max_tokens + drafts`` positions.
      key: needed with a temperature.
      lengths: integers ``(B,)`` in ``1 .. P``, may be traced; ``None``: P.
      max_tokens: positions beyond P; all rows end at ``P + max_tokens`` tokens.
      end: token after which a row ends; -1: none.
      pad: written after the end of a row.
      drafts: :math:`d`, tokens that are proposed in a round.
      temperature: divisor of both models' logits; 0: the most probable token.

    Returns:
      ``Decoded`` with ``P + max_tokens`` columns; ``calls`` are those of the target,
      ``steps`` the rounds. A NaN in the target's logits gives -1 and ends the row; the
      draft's change no result but the number of rounds. One program for all lengths and
      ends.

    Raises:
      InputError: the prompt is no integer matrix with a token, ``lengths`` or an option
        does not fit, the vocabularies differ, or there is no key for a temperature.

    Cost: a round is one call of the target on ``drafts + 1`` tokens and ``drafts + 1``
    calls of the draft; one call of each reads the prompts. Memory: both caches.

    Source: Leviathan et al., "Fast Inference from Transformers via Speculative
    Decoding", 2023; "Batch Speculative Decoding Done Right", 2025, whose code emits d
    tokens where all d drafts are right; here it is d + 1.

    >>> def model_step(params, cache, tokens, positions):
    ...     return jax.nn.one_hot((tokens + params) % 5, 5), cache
    >>> draft = Draft(model_step, 2, ())
    >>> prompt = jnp.array([[1, 3]])
    >>> found = speculative(model_step, 2, prompt, draft=draft, cache=(), max_tokens=5)
    >>> found.tokens.tolist(), int(found.calls)
    ([[1, 3, 0, 2, 4, 1, 3]], 2)
    """
    prompt, lengths = checked_prompt(prompt, lengths)
    given = {"max_tokens": max_tokens, "drafts": drafts, "temperature": temperature}
    check_arguments(speculative, given)
    if temperature > 0 and key is None:
        raise InputError(f"key must be given with temperature {temperature}; got None")
    rows, longest = prompt.shape
    total = longest + max_tokens
    _check_vocabulary(model_step, params, cache, draft, prompt)
    end, pad_token = jnp.asarray(end, jnp.int32), jnp.int32(pad)
    key = jax.random.key(0) if key is None else key
    row = jnp.arange(rows, dtype=jnp.int32)[:, None]
    slot = jnp.arange(drafts + 1, dtype=jnp.int32)[None]
    tokens = jnp.pad(prompt, ((0, 0), (0, max_tokens)))
    zeros = jnp.zeros((rows,), jnp.int32)
    # Entries behind a row's own prompt are overwritten before they are read.
    read = jnp.maximum(prompt, 0)
    cache = model_step(params, cache, read, zeros)[1]
    draft_cache = draft.model_step(draft.params, draft.cache, read, zeros)[1]

    def propose(carry: Any, i: jax.Array) -> Any:
        token, cache, count, key = carry
        # The last call, whose token is not proposed, fills the cache.
        logits, cache = draft.model_step(
            draft.params, cache, token[:, None], count - 1 + i
        )
        logits = logits[:, 0]
        if temperature > 0:
            # Logits that hold a NaN propose by equal chances.
            logits = jnp.where(jnp.isnan(logits).any(1, keepdims=True), 0, logits)
            logits = logits.astype(accumulation_dtype(logits.dtype))
            logits = logits / jnp.asarray(temperature, logits.dtype)
            chosen = jax.random.categorical(jax.random.fold_in(key, i), logits)
        else:
            chosen = jnp.argmax(logits, axis=-1)
        chosen = chosen.astype(jnp.int32)
        return (chosen, cache, count, key), (chosen, logits)

    def unfinished(carry: Any) -> jax.Array:
        return ~jnp.all(carry[2])

    def advance(carry: Any) -> Any:
        tokens, count, done, caches, steps = carry
        cache, draft_cache = caches
        round_key = jax.random.fold_in(key, steps)
        draft_key, check_key = jax.random.split(round_key)
        last = jnp.take_along_axis(tokens, count[:, None] - 1, axis=1)
        # A negative token, of a row that has ended, would be an index from the end.
        last = jnp.maximum(last, 0)
        start = last[:, 0], draft_cache, count, draft_key
        which = jnp.arange(drafts + 1, dtype=jnp.int32)
        (_, draft_cache, *_), (chosen, guesses) = jax.lax.scan(propose, start, which)
        chosen = chosen[:-1].T
        chunk = jnp.concatenate([last, chosen], axis=1)
        logits, cache = model_step(params, cache, chunk, count - 1)
        guesses = jnp.swapaxes(guesses[:-1], 0, 1)
        new, taken = verified(
            logits, chosen, guesses, key=check_key, temperature=temperature
        )
        ends = ((new == end) | (new == -1)) & (slot <= taken[:, None])
        before = jnp.cumsum(ends, axis=1, dtype=jnp.int32) - ends.astype(jnp.int32)
        kept = (slot <= taken[:, None]) & (before == 0) & ~done[:, None]
        places = count[:, None] + slot
        kept = kept & (places < total)
        # Indices beyond the last column are dropped.
        at = row, jnp.where(kept, places, total)
        tokens = tokens.at[at].set(new, mode="drop")
        count = count + jnp.sum(kept, axis=1, dtype=jnp.int32)
        done = done | jnp.any(ends & kept, axis=1) | (count >= total)
        return tokens, count, done, (cache, draft_cache), steps + jnp.int32(1)

    steps = jnp.zeros((), jnp.int32)
    start = tokens, lengths, jnp.zeros((rows,), bool), (cache, draft_cache), steps
    tokens, count, _, _, steps = jax.lax.while_loop(unfinished, advance, start)
    beyond = jnp.arange(total, dtype=jnp.int32)[None] >= count[:, None]
    return Decoded(jnp.where(beyond, pad_token, tokens), steps, steps + jnp.int32(1))


def _check_vocabulary(
    model_step: ChunkStep, params: Params, cache: Any, draft: Draft, prompt: jax.Array
) -> None:
    rows = prompt.shape[0]
    token = jax.ShapeDtypeStruct((rows, 1), jnp.int32)
    position = jax.ShapeDtypeStruct((rows,), jnp.int32)
    models = {"target": (model_step, params, cache), "draft": draft}
    sizes = {}
    for name, (step, own, state) in models.items():
        shape = jax.eval_shape(step, own, state, token, position)[0].shape
        if len(shape) != 3 or shape[:2] != (rows, 1):
            raise InputError(
                f"the {name} must give logits of shape {(rows, 1, 'V')}; got {shape}"
            )
        sizes[name] = shape[2]
    if sizes["target"] != sizes["draft"]:
        raise InputError(
            f"draft must have the target's vocabulary of {sizes['target']} tokens; got "
            f"{sizes['draft']}"
        )
