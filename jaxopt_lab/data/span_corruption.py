"""A mixture of next tokens and of masked spans as objectives (CodeGen2)."""

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core.entries import check_entries
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.options import COUNT, DECAY, STATIC, UNIT, check_arguments
from jaxopt_lab.core.typing import Batch, Scalar
from jaxopt_lab.data.batches import Augment
from jaxopt_lab.data.masked_spans import (
    CorruptedText,
    SpanTokens,
    check_special,
    corrupt_spans,
    corrupted_length,
)


def span_corruption(
    *,
    special: SpanTokens,
    probability: Annotated[Scalar, UNIT] = 0.5,
    share: Annotated[float, DECAY, STATIC] = 0.15,
    mean_span: Annotated[float, COUNT, STATIC] = 3.0,
    entry: str = "inputs",
) -> Augment:
    """Corrupt the spans of some rows of a batch and leave the others as they are.

    Each row of ``batch[entry]``, integers ``(B, n)``, is replaced by ``corrupt_spans``
    of it with a probability, and else padded to the same length: a mixture of the two
    objectives.

    Args:
      special: the special tokens, one sentinel for each span.
      probability: of a row that is corrupted.
      share: part of the tokens that is masked.
      mean_span: mean number of tokens of a span.
      entry: of the batch.

    Returns:
      ``(key, batch) -> batch``, with the tokens ``(B, length)`` in ``entry``,
      ``"loss_mask"`` and ``"prefix_length"`` as of ``CorruptedText``; other entries
      stay.

    Raises:
      InputError: an option is out of range; at the call, the batch has no such entry,
        or as ``corrupt_spans``.

    Source: Nijkamp et al., CodeGen2, 2023 (https://arxiv.org/abs/2305.02309); the
    probabilities of the paper's mixture are 1/2, from memory.

    >>> special = SpanTokens(sentinels=(9,), end=6, separator=7, eom=8, pad=5)
    >>> mixed = span_corruption(special=special, share=0.5, mean_span=9.0)
    >>> batch = mixed(jax.random.key(0), {"inputs": jnp.array([[0, 1], [2, 3]])})
    >>> batch["inputs"].tolist()
    [[0, 1, 5, 5, 5, 5, 5], [2, 9, 6, 7, 9, 3, 8]]
    >>> batch["prefix_length"].tolist()
    [0, 4]
    """
    given = {"probability": probability, "share": share, "mean_span": mean_span}
    check_arguments(span_corruption, given)

    def transform(key: jax.Array, batch: Batch) -> Batch:
        check_entries(batch, (entry,), "corrupt")
        text = jnp.asarray(batch[entry])
        if text.ndim != 2:
            raise InputError(
                f"{entry} to corrupt has shape {text.shape}; accepted: (B, tokens)"
            )
        check_special(special, text)
        size = corrupted_length(text.shape[1], share=share, mean_span=mean_span)

        def one(key: jax.Array, row: jax.Array, share: float) -> CorruptedText:
            own: Any = {"share": share, "mean_span": mean_span, "length": size}
            return corrupt_spans(key, row, special=special, **own)

        choice, draw = jax.random.split(key)
        keys = jax.random.split(draw, len(text))
        found = jax.vmap(lambda k, row: one(k, row, 0.0))(keys, text)
        if known_number(probability) != 0:
            spoilt = jax.vmap(lambda k, row: one(k, row, share))(keys, text)
            chosen = jax.random.uniform(choice, (len(text),), jnp.float32) < probability
            pick = lambda a, b: jnp.where(
                chosen.reshape((-1,) + (1,) * (a.ndim - 1)), a, b
            )
            found = jax.tree.map(pick, spoilt, found)
        more = {"loss_mask": found.loss_mask, "prefix_length": found.prefix_length}
        return {**batch, entry: found.tokens, **more}

    return transform


def next_tokens(*, entry: str = "inputs") -> Augment:
    """All tokens of a row are to be predicted, none is in a prefix.

    Args:
      entry: of the batch.

    Returns:
      ``(key, batch) -> batch``: ``span_corruption`` of nothing.

    >>> next_tokens()(None, {"inputs": jnp.zeros((1, 2), int)})["loss_mask"].tolist()
    [[True, True]]
    """

    def transform(key: jax.Array, batch: Batch) -> Batch:
        del key
        text = batch[entry]
        nothing = jnp.zeros(jnp.shape(text)[:1], jnp.int32)
        mask = jnp.ones(jnp.shape(text), bool)
        return {**batch, "loss_mask": mask, "prefix_length": nothing}

    return transform
