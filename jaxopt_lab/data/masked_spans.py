"""Span corruption and infilling: masked spans of a text, moved behind it."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.known_values import known_values
from jaxopt_lab.core.options import COUNT, DECAY, STATIC, check_arguments


class SpanTokens(NamedTuple):
    """The tokens that stand for masked spans; all different, and none in a text.

    Attributes:
      sentinels: one for each span of a text, in their order.
      end: behind the text.
      separator: before the targets.
      eom: at the end of each target.
      pad: fills up.
    """

    sentinels: tuple[int, ...]
    end: int
    separator: int
    eom: int
    pad: int

    @classmethod
    def behind(cls, vocabulary: int, spans: int) -> SpanTokens:
        """The first numbers that a vocabulary does not use.

        Args:
          vocabulary: number of the other tokens, ``0 .. vocabulary - 1``.
          spans: number of sentinels.

        Returns:
          ``spans + 4`` tokens.

        >>> SpanTokens.behind(10, 2)
        SpanTokens(sentinels=(10, 11), end=12, separator=13, eom=14, pad=15)
        """
        first = vocabulary + spans
        return cls(tuple(range(vocabulary, first)), *range(first, first + 4))


class CorruptedText(NamedTuple):
    """A text whose masked spans stand behind it.

    Attributes:
      tokens: ``(length,)``, of the type of the text.
      loss_mask: ``(length,)`` booleans, the tokens that are to be predicted: those of
        the spans, and the end of each; of a text without spans all of its tokens.
      prefix_length: scalar int32, the tokens before the first span's target, which may
        see one another; 0 of a text without spans.
    """

    tokens: jax.Array
    loss_mask: jax.Array
    prefix_length: jax.Array


def corrupt_spans(
    key: jax.Array,
    tokens: jax.Array,
    *,
    special: SpanTokens,
    share: Annotated[float, DECAY, STATIC] = 0.15,
    mean_span: Annotated[float, COUNT, STATIC] = 3.0,
    length: Annotated[int | None, COUNT] = None,
) -> CorruptedText:
    r"""Mask random spans of a text and append them, in the form of CodeGen2.

    With sentinels :math:`m_1, m_2, \dots` in place of the spans,

    .. math:: \text{text with sentinels}, \text{end}, \text{separator},
        m_1, \text{span}_1, \text{eom}, m_2, \text{span}_2, \text{eom}, \dots

    Of n tokens :math:`\mathrm{round}(n\, \text{share})` are masked, exactly, in
    :math:`k = \max(1, \mathrm{round}(n\, \text{share} / \text{mean span}))` spans that
    neither overlap nor touch; all such choices of lengths and of gaps between them are
    equally likely. One span (``mean_span`` at least n times ``share``) is infilling.

    Args:
      key: of the draws.
      tokens: ``(n,)`` integers, none of them a special one.
      special: the special tokens, k sentinels at least.
      share: part of the tokens that is masked; 0 leaves the text as it is.
      mean_span: mean number of tokens of a span.
      length: of the result; ``None``: ``corrupted_length``.

    Returns:
      ``CorruptedText``, of shapes that depend on n and the options alone.

    Raises:
      InputError: an option is out of range, two special tokens are equal or stand in
        the text, sentinels are too few, spans do not fit into the text, or the result
        does not fit into ``length``.

    Source: Nijkamp et al., "CodeGen2: Lessons for Training LLMs on Programming and
    Natural Languages", 2023 (https://arxiv.org/abs/2305.02309), and its model card; the
    share and the mean are those of T5, theirs are not stated.

    >>> special = SpanTokens(sentinels=(99,), end=91, separator=92, eom=93, pad=90)
    >>> text, key = jnp.arange(8), jax.random.key(0)
    >>> found = corrupt_spans(key, text, special=special, share=0.25)
    >>> found.tokens.tolist()
    [99, 2, 3, 4, 5, 6, 7, 91, 92, 99, 0, 1, 93]
    >>> found.loss_mask.sum().item(), found.prefix_length.item()
    (3, 9)
    """
    given = {"share": share, "mean_span": mean_span, "length": length}
    check_arguments(corrupt_spans, given)
    if jnp.ndim(tokens) != 1 or not jnp.issubdtype(tokens.dtype, jnp.integer):
        raise InputError(
            f"tokens must be integers of shape (n,); got {jnp.result_type(tokens)} of "
            f"shape {jnp.shape(tokens)}"
        )
    check_special(special, tokens)
    n = tokens.shape[0]
    masked, spans = span_counts(n, share=share, mean_span=mean_span)
    least = corrupted_length(n, share=share, mean_span=mean_span)
    length = least if length is None else length
    if length < least:
        raise InputError(
            f"length={length} is too short for {n} tokens with {spans} spans; "
            f"accepted: at least {least}"
        )
    if len(special.sentinels) < spans:
        raise InputError(
            f"{len(special.sentinels)} sentinels for {spans} spans; accepted: one each"
        )
    if not spans:
        padding = jnp.full((length - n,), special.pad, tokens.dtype)
        return CorruptedText(
            jnp.concatenate([tokens, padding]),
            jnp.arange(length, dtype=jnp.int32) < n,
            jnp.zeros((), jnp.int32),
        )
    starts, sizes = _draw_spans(key, n, masked, spans)
    prefix = n - masked + spans + 2
    place = jnp.arange(n, dtype=jnp.int32)[None]
    inside = (place >= starts[:, None]) & (place < (starts + sizes)[:, None])
    hidden = jnp.any(inside, axis=0)
    begun = jnp.sum(place >= starts[:, None], axis=0, dtype=jnp.int32)
    before = jnp.cumsum(hidden, dtype=jnp.int32) - hidden.astype(jnp.int32)
    # Behind the separator each span has its sentinel before it and its end behind it.
    target = prefix + before + 2 * begun - 1
    at = jnp.where(hidden, target, place[0] - before + begun)
    earlier = jnp.cumsum(sizes) - sizes
    order = jnp.arange(spans, dtype=jnp.int32)
    heads = prefix + earlier + 2 * order
    ends = heads + sizes + 1
    marks = np.array(special.sentinels[:spans], tokens.dtype)
    out = jnp.full((length,), special.pad, tokens.dtype)
    out = out.at[at].set(tokens)
    out = out.at[starts - earlier + order].set(marks).at[heads].set(marks)
    out = out.at[ends].set(np.full(spans, special.eom, tokens.dtype))
    between = np.array([prefix - 2, prefix - 1], np.int32)
    out = out.at[between].set(np.array([special.end, special.separator], tokens.dtype))
    wanted = jnp.zeros((length,), jnp.int32).at[at].set(hidden.astype(jnp.int32))
    wanted = wanted.at[ends].set(jnp.ones((spans,), jnp.int32)) > 0
    return CorruptedText(out, wanted, jnp.asarray(prefix, jnp.int32))


def span_counts(n: int, *, share: float, mean_span: float) -> tuple[int, int]:
    """Numbers of masked tokens and of spans of a text.

    Args:
      n: tokens of the text.
      share: part of the tokens that is masked.
      mean_span: mean number of tokens of a span.

    Returns:
      ``(masked, spans)``; both 0 where nothing is masked.

    Raises:
      InputError: there are not enough other tokens to keep the spans apart.

    >>> span_counts(100, share=0.15, mean_span=3.0)
    (15, 5)
    """
    masked = round(share * n)
    if not masked:
        return 0, 0
    spans = min(max(1, round(masked / mean_span)), masked)
    if n - masked < spans - 1:
        raise InputError(
            f"share={share} of {n} tokens in {spans} spans leaves {n - masked} tokens "
            f"to keep them apart; accepted: at least {spans - 1}"
        )
    return masked, spans


def corrupted_length(n: int, *, share: float = 0.15, mean_span: float = 3.0) -> int:
    """Number of tokens of ``corrupt_spans`` without padding.

    Args:
      n: tokens of the text.
      share: part of the tokens that is masked.
      mean_span: mean number of tokens of a span.

    Returns:
      ``n + 3 spans + 2``; n where nothing is masked.

    >>> corrupted_length(100)
    117
    """
    _, spans = span_counts(n, share=share, mean_span=mean_span)
    return n + 3 * spans + 2 if spans else n


def check_special(special: SpanTokens, tokens: jax.Array) -> None:
    """Refuse special tokens that are equal or (of known values) stand in a text.

    Args:
      special: the special tokens.
      tokens: integers, any shape.

    Raises:
      InputError: two are equal, or one stands in the text.
    """
    every = (*special.sentinels, *special[1:])
    if len(set(every)) < len(every):
        raise InputError(
            f"special tokens must be different; got {', '.join(map(str, every))}"
        )
    known = known_values(tokens)
    if known is not None and (bad := known[np.isin(known, every)]).size:
        raise InputError(f"special token {bad.flat[0]} stands in the text")


def _draw_spans(
    key: jax.Array, n: int, masked: int, spans: int
) -> tuple[jax.Array, jax.Array]:
    """Starts and sizes of spans that do not touch, in their order."""
    one, two = jax.random.split(key)
    sizes = _parts(one, masked, spans)
    # One more at each end than there is: the outer gaps may be empty.
    gaps = _parts(two, n - masked + 2, spans + 1)
    earlier = jnp.cumsum(sizes) - sizes
    return jnp.cumsum(gaps)[:-1] - 1 + earlier, sizes


def _parts(key: jax.Array, total: int, count: int) -> jax.Array:
    """Positive numbers of a sum, each such choice equally likely."""
    order = jnp.argsort(jax.random.bits(key, (total - 1,), jnp.uint32))
    cuts = jnp.sort(order[: count - 1].astype(jnp.int32)) + 1
    first, last = (jnp.full((1,), end, jnp.int32) for end in (0, total))
    return jnp.diff(jnp.concatenate([first, cuts, last]))
