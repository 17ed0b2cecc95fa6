"""Batch speculative decoding: a small model drafts, a large one checks in one call."""

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core.argument_checks import check_key
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import (
    COUNT,
    COUNT_OR_ZERO,
    NON_NEGATIVE,
    SHARE,
    STATIC,
    check_arguments,
)
from jaxopt_lab.core.typing import Params
from jaxopt_lab.inference.decoded import ChunkStep, Decoded
from jaxopt_lab.inference.prompts import checked_ends, checked_limits, checked_prompt
from jaxopt_lab.inference.speculative_round import (
    Draft,
    seated_rows,
    speculative_round,
)


def speculative(
    model_step: ChunkStep,
    params: Params,
    prompt: jax.Array,
    *,
    draft: Draft,
    cache: Any,
    key: jax.Array | None = None,
    lengths: jax.Array | None = None,
    limits: jax.Array | None = None,
    max_tokens: Annotated[int, COUNT] = 32,
    end: int | jax.Array = -1,
    pad: int = 0,
    drafts: Annotated[int, COUNT, STATIC] = 4,
    temperature: Annotated[float, NON_NEGATIVE, STATIC] = 0.0,
    top_k: Annotated[int, COUNT_OR_ZERO] = 0,
    top_p: Annotated[float | jax.Array, SHARE] = 1.0,
    seats: Annotated[int, COUNT_OR_ZERO] = 0,
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

    With ``seats`` the rows are a pool: a round is of so many of them, if possible of
    one length, and rows that have ended leave their seats to others.

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
      limits: integers ``(B,)``, the most tokens of each row with its prompt, may be
        traced; ``None``: ``P + max_tokens``.
      max_tokens: positions beyond P; all rows end at ``P + max_tokens`` tokens.
      end: token after which a row ends; -1: none.
      pad: written after the end of a row.
      drafts: :math:`d`, tokens that are proposed in a round.
      temperature: divisor of both models' logits; 0: the most probable token.
      top_k: with a temperature, the number of the most probable tokens that both models
        draw from; 0: all.
      top_p: with a temperature, their probability; 1: all.
      seats: rows of a round, at most B; 0: all. The leaves of the caches have the rows
        as their first axis then.

    Returns:
      ``Decoded`` with ``P + max_tokens`` columns; ``calls`` are those of the target,
      ``steps`` the rounds, and ``counts`` has the tokens ``"drafted"`` and those
      ``"accepted"`` of unfinished rows, and with seats the rounds of rows of one
      length, ``"aligned"``. A NaN in the target's logits gives -1 and ends the row; the
      draft's change no result but the number of rounds. One program for all lengths and
      ends.

    Raises:
      InputError: the prompt is no integer matrix with a token, ``lengths`` or an option
        does not fit, the vocabularies differ, or there is no key for a temperature.

    Cost: a round is one call of the target on ``drafts + 1`` tokens and ``drafts + 1``
    calls of the draft; one call of each reads the prompts. Memory: both caches; with
    seats a copy of those of a round.

    Source: Leviathan et al., "Fast Inference from Transformers via Speculative
    Decoding", 2023; "Batch Speculative Decoding Done Right", 2025: all rows are its
    EQSPEC, seats its EXSPEC. Its code realigns rows by padding and emits d tokens where
    all d drafts are right; here it is d + 1.

    >>> def model_step(params, cache, tokens, positions):
    ...     return jax.nn.one_hot((tokens + params) % 5, 5), cache
    >>> draft = Draft(model_step, 2, ())
    >>> prompt = jnp.array([[1, 3]])
    >>> found = speculative(model_step, 2, prompt, draft=draft, cache=(), max_tokens=5)
    >>> found.tokens.tolist(), int(found.calls)
    ([[1, 3, 0, 2, 4, 1, 3]], 2)
    """
    prompt, lengths = checked_prompt(prompt, lengths)
    end, pad_token = checked_ends(end, pad)
    options = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
    given = {"max_tokens": max_tokens, "drafts": drafts, "seats": seats, **options}
    check_arguments(speculative, given)
    if temperature > 0 and key is None:
        raise InputError(f"key must be given with temperature {temperature}; got None")
    if key is not None:
        check_key("key", key)
    rows, longest = prompt.shape
    if seats > rows:
        raise InputError(f"seats must be at most the {rows} rows; got {seats}")
    total = longest + max_tokens
    limits = checked_limits(limits, lengths, total)
    _check_vocabulary(model_step, params, cache, draft, prompt)
    key = jax.random.key(0) if key is None else key
    slot = jnp.arange(drafts + 1, dtype=jnp.int32)[None]
    tokens = jnp.pad(prompt, ((0, 0), (0, max_tokens)))
    zeros = jnp.zeros((rows,), jnp.int32)
    # Entries behind a row's own prompt are overwritten before they are read.
    read = jnp.maximum(prompt, 0)
    cache = model_step(params, cache, read, zeros)[1]
    draft_cache = draft.model_step(draft.params, draft.cache, read, zeros)[1]

    def unfinished(carry: Any) -> jax.Array:
        return ~jnp.all(carry[2])

    def advance(carry: Any) -> Any:
        tokens, count, done, caches, steps, counts = carry
        if seats:
            seated, aligned = seated_rows(count, done, seats)
            some, had, ended, most = (x[seated] for x in (tokens, count, done, limits))
            cache, draft_cache = jax.tree.map(lambda x: x[seated], caches)
        else:
            seated, aligned = jnp.arange(rows, dtype=jnp.int32), None
            some, had, ended, most = tokens, count, done, limits
            cache, draft_cache = caches
        last = jnp.take_along_axis(some, had[:, None] - 1, axis=1)[:, 0]
        new, taken, *held = speculative_round(
            Draft(model_step, params, cache),
            draft._replace(cache=draft_cache),
            # A negative token, of a row that has ended, would be an index from the end.
            jnp.maximum(last, 0),
            had,
            key=jax.random.fold_in(key, steps),
            drafts=drafts,
            **options,
        )
        ends = ((new == end) | (new == -1)) & (slot <= taken[:, None])
        before = jnp.cumsum(ends, axis=1, dtype=jnp.int32) - ends.astype(jnp.int32)
        kept = (slot <= taken[:, None]) & (before == 0) & ~ended[:, None]
        places = had[:, None] + slot
        kept = kept & (places < most[:, None])
        # Indices beyond the last column are dropped.
        at = seated[:, None], jnp.where(kept, places, total)
        tokens = tokens.at[at].set(new, mode="drop")
        now = had + jnp.sum(kept, axis=1, dtype=jnp.int32)
        over = ended | jnp.any(ends & kept, axis=1) | (now >= most)
        right = jnp.where(ended, 0, taken)
        counts = counts | {
            "drafted": counts["drafted"] + drafts * jnp.sum(~ended, dtype=jnp.int32),
            "accepted": counts["accepted"] + jnp.sum(right, dtype=jnp.int32),
        }
        if aligned is None:
            return tokens, now, over, tuple(held), steps + jnp.int32(1), counts
        counts["aligned"] = counts["aligned"] + aligned.astype(jnp.int32)
        count, done = count.at[seated].set(now), done.at[seated].set(over)
        caches = jax.tree.map(lambda x, y: x.at[seated].set(y), caches, tuple(held))
        return tokens, count, done, caches, steps + jnp.int32(1), counts

    steps = jnp.zeros((), jnp.int32)
    names = ("drafted", "accepted", *(["aligned"] if seats else []))
    counts = dict.fromkeys(names, steps)
    start = tokens, lengths, lengths >= limits, (cache, draft_cache), steps, counts
    tokens, count, _, _, steps, counts = jax.lax.while_loop(unfinished, advance, start)
    beyond = jnp.arange(total, dtype=jnp.int32)[None] >= count[:, None]
    tokens = jnp.where(beyond, pad_token, tokens)
    return Decoded(tokens, steps, steps + jnp.int32(1), counts)


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
