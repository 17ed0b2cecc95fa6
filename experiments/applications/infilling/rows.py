"""Rows of text with masked spans behind it."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import numpy as np

from experiments.applications import corpus
from experiments.applications.application import Settings
from jaxopt_lab.data import SpanTokens, corrupt_spans, corrupted_length

ARMS = ("causal", "mixture", "mixture, prefix mask")
SPECIAL = SpanTokens.behind(len(corpus.VOCABULARY), 8)
SPANS = {"share": 0.15, "mean_span": 3.0}
INFILL = {"share": 0.25, "mean_span": 1e9}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size.

    Attributes:
      steps: of Adam.
      batch: rows of a step; with a mixture half are plain, a quarter has several spans
        and a quarter one of a quarter of the text.
      context: characters of a row.
      width: of the model.
      depth: of the model.
      rate: of Adam.
      test: rows of the test.
      modules: sources of text, of which a quarter is for the test.
    """

    steps: int = 300
    batch: int = 8
    context: int = 64
    width: int = 32
    depth: int = 2
    rate: float = 5e-3
    test: int = 96
    modules: int = 40


def row_length(config: Config) -> int:
    """Tokens of a row, whatever its objective."""
    return max(corrupted_length(config.context, **kind) for kind in (SPANS, INFILL))


def rows_of(text: np.ndarray, arm: str, seed: int, config: Config) -> tuple[Any, ...]:
    """Rows of an objective.

    Args:
      text: ``(steps, batch, context)``.
      arm: of ``ARMS``.
      seed: of the spans.
      config: the size.

    Returns:
      ``(tokens, wanted, prefix)`` of ``text_model.trainer``, of one seed. With a causal
      mask all tokens are predicted; those in a prefix that sees itself are not.
    """
    length, key = row_length(config), jax.random.key(seed)
    half = config.batch if arm == ARMS[0] else config.batch // 2
    cuts = half, half + (config.batch - half) // 2
    first, *others = np.split(text, cuts, axis=1)
    spare = ((0, 0), (0, 0), (0, length - config.context))
    tokens = np.pad(first, spare, constant_values=SPECIAL.pad)
    found = [(tokens, tokens != SPECIAL.pad, np.zeros(tokens.shape[:2], np.int32))]
    for number, (part, kind) in enumerate(zip(others, (SPANS, INFILL), strict=True)):
        if part.size:
            keys = jax.random.split(jax.random.fold_in(key, number), part.shape[:2])
            found.append(_corrupter(length, tuple(kind.items()))(keys, part))
    parts = zip(*found, strict=True)
    tokens, wanted, prefix = (np.concatenate(x, axis=1) for x in parts)
    if arm == ARMS[1]:
        return tokens, tokens != SPECIAL.pad, np.zeros_like(prefix)
    return tokens, wanted, prefix


@functools.cache
def _corrupter(length: int, kind: tuple[tuple[str, float], ...]) -> Any:
    own: Any = {"special": SPECIAL, "length": length, **dict(kind)}
    one = lambda key, text: corrupt_spans(key, text, **own)
    return jax.jit(jax.vmap(jax.vmap(one)))


def infill_rows(text: np.ndarray, config: Config) -> tuple[np.ndarray, np.ndarray]:
    """Rows whose middle quarter is masked, and the places of its characters there.

    Args:
      text: ``(rows, context)``.
      config: the size.

    Returns:
      Tokens ``(rows, row_length)``, and ``(row_length,)`` booleans.
    """
    size = config.context // 4
    start = (config.context - size) // 2
    mark = SPECIAL.sentinels[0]
    column = lambda token: np.full((len(text), 1), token, np.int32)
    middle = text[:, start : start + size]
    parts = [text[:, :start], column(mark), text[:, start + size :]]
    parts += [column(SPECIAL.end), column(SPECIAL.separator), column(mark)]
    before = sum(p.shape[1] for p in parts)
    parts += [middle, column(SPECIAL.eom)]
    used = before + size + 1
    parts.append(np.full((len(text), row_length(config) - used), SPECIAL.pad, np.int32))
    at = np.arange(row_length(config))
    return np.concatenate(parts, axis=1), (at >= before) & (at < before + size)
