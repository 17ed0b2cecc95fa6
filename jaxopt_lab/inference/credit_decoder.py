"""CreditDecoding: masked tokens decided in parallel, steady predictions earlier."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import (
    COUNT,
    NON_NEGATIVE,
    STATIC,
    UNIT,
    check_arguments,
)
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Params
from jaxopt_lab.inference.credits import credit_step
from jaxopt_lab.inference.decoded import Decoded, MaskedStep
from jaxopt_lab.inference.prompts import checked_ends, checked_limits, checked_prompt


def credit_decoding(
    model_step: MaskedStep,
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
    mask: Annotated[int, STATIC] = -1,
    block: Annotated[int, COUNT, STATIC] = 32,
    threshold: Annotated[float, UNIT] = 0.9,
    alpha: Annotated[float, NON_NEGATIVE] = 0.7,
    gamma: Annotated[float, NON_NEGATIVE] = 0.2,
    beta: Annotated[float, UNIT] = 0.8,
) -> Decoded:
    r"""Extend prompts with a model of masked tokens, block by block.

    All columns after a prompt begin as masks. A call of the model gives the logits of a
    row's current block, ``credit_step`` decides one or more of its tokens by

    .. math:: c_v \gets \beta c_v + p_v^\gamma\, [v = \arg\max p], \quad
        q = \operatorname{softmax}(z + \alpha \log(1 + c)) ,

    and the next block of the row begins, without credits, when no mask is left in it.
    Blocks are counted from the end of each prompt, so that a row's tokens do not depend
    on the other rows.

    Args:
      model_step: ``model_step(params, cache, tokens, columns) -> (logits, cache)``, a
        ``MaskedStep``.
      params: the model's parameters.
      prompt: integers ``(B, P)``; row b is ``prompt[b, :lengths[b]]``.
      cache: handed to the model and back; ``()`` for a model without one.
      key: not used; every decoder takes one.
      lengths: integers ``(B,)`` in ``1 .. P``, may be traced; ``None``: P.
      limits: integers ``(B,)``, the most tokens of each row with its prompt, may be
        traced; what follows stays a mask for the model. ``None``: ``P + max_tokens``.
      max_tokens: positions beyond P; all rows end at ``P + max_tokens`` tokens.
      end: token after which a row ends, once its block is complete; -1: none.
      pad: written after the end of a row.
      mask: the mask token; -1: the last one of the vocabulary. It is never a result.
      block: columns that are decided together.
      threshold: least probability of a decided token; 1: the best of each row alone.
      alpha: weight of credits, in logits; 0: threshold decoding.
      gamma: power of a probability in its credit.
      beta: decay of credits a step.

    Returns:
      ``Decoded`` with ``P + max_tokens`` columns, ``steps`` equal to ``calls``. A row
      whose logits hold a NaN has -1 at its first mask and ends. One program for all
      lengths and ends.

    Raises:
      InputError: the prompt is no integer matrix with a token, ``lengths`` or an option
        does not fit, or the mask is no token of the model.

    Cost: at most one call of the model for each new token of the shortest prompt;
    ``(B, block, V)`` credits in float32 (float64 for float64 logits).

    Source: "CreditDecoding: Accelerating Parallel Decoding in Diffusion Large Language
    Models with Trace Credits", 2025, and its public code, whose step this is; there,
    blocks are those of the whole batch.

    >>> def model_step(params, cache, tokens, columns):
    ...     return 9.0 * jax.nn.one_hot(columns % 5, 6), cache
    >>> prompt = jnp.array([[1, 3]])
    >>> found = credit_decoding(model_step, (), prompt, cache=(), max_tokens=5, block=4)
    >>> found.tokens.tolist(), int(found.calls)
    ([[1, 3, 2, 3, 4, 0, 1]], 2)
    """
    del key
    prompt, lengths = checked_prompt(prompt, lengths)
    end, pad_token = checked_ends(end, pad)
    numbers = {"threshold": threshold, "alpha": alpha, "gamma": gamma, "beta": beta}
    given = {"max_tokens": max_tokens, "block": block, "mask": mask, **numbers}
    check_arguments(credit_decoding, given)
    rows, longest = prompt.shape
    total = longest + max_tokens
    column = jnp.arange(total, dtype=jnp.int32)[None]
    slot = jnp.arange(block, dtype=jnp.int32)[None]
    row = jnp.arange(rows, dtype=jnp.int32)[:, None]
    whole = jax.ShapeDtypeStruct((rows, total), jnp.int32)
    asked = jax.ShapeDtypeStruct((rows, block), jnp.int32)
    shape = jax.eval_shape(model_step, params, cache, whole, asked)[0]
    if shape.ndim != 3 or shape.shape[:2] != (rows, block):
        raise InputError(
            f"the model must give logits of shape {(rows, block, 'V')}; got "
            f"{shape.shape}"
        )
    if not -1 <= mask < shape.shape[2]:
        raise InputError(f"mask must be one of {shape.shape[2]} tokens; got {mask}")
    mask = shape.shape[2] - 1 if mask == -1 else mask
    limits = checked_limits(limits, lengths, total)
    behind = column >= lengths[:, None]
    is_new = behind & (column < limits[:, None])
    tokens = jnp.pad(prompt, ((0, 0), (0, max_tokens)))
    tokens = jnp.where(behind, jnp.int32(mask), tokens)

    def unfinished(carry: Any) -> jax.Array:
        return ~jnp.all(carry[-2])

    def advance(carry: Any) -> Any:
        tokens, masked, credits, cache, done, steps = carry
        first = jnp.argmax(masked, axis=1).astype(jnp.int32)
        start = lengths + jnp.maximum(first - lengths, 0) // block * block
        places = start[:, None] + slot
        columns = jnp.minimum(places, total - 1)
        # A negative token, of a row that has ended, would be an index from the end.
        logits, cache = model_step(params, cache, jnp.maximum(tokens, 0), columns)
        open_ = jnp.take_along_axis(masked, columns, axis=1)
        open_ = open_ & (places < total) & ~done[:, None]
        found = credit_step(logits, credits, open_, mask=mask, **numbers)
        broken = jnp.any(open_ & jnp.any(jnp.isnan(logits), axis=-1), axis=1)
        decided = found.decided & ~broken[:, None]
        # Indices beyond the last column are dropped.
        at = row, jnp.where(decided, places, total)
        tokens = tokens.at[at].set(found.tokens, mode="drop")
        masked = masked.at[at].set(False, mode="drop")
        is_first = broken[:, None] & (column == first[:, None])
        tokens = jnp.where(is_first, jnp.int32(-1), tokens)
        complete = ~jnp.any(open_ & ~decided, axis=1)
        credits = jnp.where(complete[:, None, None], 0, found.credits)
        ended = jnp.any(is_new & ~masked & (tokens == end), axis=1) & complete
        done = done | broken | ended | ~jnp.any(masked, axis=1)
        return tokens, masked, credits, cache, done, steps + jnp.int32(1)

    credits = jnp.zeros(shape.shape, accumulation_dtype(shape.dtype))
    done, steps = ~jnp.any(is_new, axis=1), jnp.zeros((), jnp.int32)
    start = tokens, is_new, credits, cache, done, steps
    tokens, *_, steps = jax.lax.while_loop(unfinished, advance, start)
    last = is_new & ((tokens == end) | (tokens == -1))
    ends = last.astype(jnp.int32)
    beyond = jnp.cumsum(ends, axis=1, dtype=jnp.int32) > ends
    beyond = beyond | (behind & ~is_new)
    return Decoded(jnp.where(beyond, pad_token, tokens), steps, steps)
