"""Lists of candidates: images of digits, and halves of passages."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from experiments.applications import corpus
from experiments.applications.application import Settings
from jaxopt_lab.data import load_digits

CONFUSABLE = (6, 7, 3, 8, 9, 6, 0, 1, 3, 4)
"""A class that each digit is taken for."""

PIECES = 8
"""Pieces of an item: rows of pixels, stretches of text."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size.

    Attributes:
      steps: of Adam.
      lists: of ten candidates, for training; a third as many for validation and test.
      batch: lists of a step.
      rates: learning rates, of which the best in validation is taken.
      hidden: units of the towers' hidden layer.
      size: of an embedding.
      modules: sources of passages.
      sets: which are ranked.
      losses: of ``measure.LOSSES``.
    """

    steps: int = 250
    lists: int = 1200
    batch: int = 32
    rates: tuple[float, ...] = (3e-3, 1e-2)
    hidden: int = 48
    size: int = 16
    modules: int = 120
    sets: tuple[str, ...] = ("digits", "passages")
    losses: tuple[str, ...] = (
        "squared error",
        "logistic",
        "hinge",
        "RankNet",
        "LambdaRank",
        "ListNet",
        "ListMLE",
        "ApproxNDCG",
    )


class Lists(NamedTuple):
    """Items, and lists of them.

    Attributes:
      queries: ``(items, PIECES, features)``.
      documents: likewise; of digits the same images.
      chosen: ``(3, lists, 1 + 10)``, a query and its candidates; for training,
        validation and test, whose items are different.
      labels: ``(3, lists, 10)``, relevances 0, 1, 2.
    """

    queries: np.ndarray
    documents: np.ndarray
    chosen: np.ndarray
    labels: np.ndarray


def draw_lists(
    draw: np.random.Generator, group: np.ndarray, own: bool, config: Config
) -> tuple[np.ndarray, np.ndarray]:
    """Queries with candidates of which few are relevant.

    Args:
      draw: generator.
      group: ``(items,)``, class of each digit, or module of each passage.
      own: whether a query's own document is a candidate, relevance 2, and others of its
        group have relevance 1; else those of its class have 2, and of the class that it
        is taken for 1.
      config: the numbers of lists.

    Returns:
      ``chosen`` and ``labels`` of ``Lists``.
    """
    # Digits are divided by image, passages by module.
    unit = group if own else np.arange(len(group))
    part = draw.permutation(unit.max() + 1)[unit] % 4
    chosen, labels = [], []
    for parts in ([0, 1], [2], [3]):
        items = np.flatnonzero(np.isin(part, parts))
        members = {g: items[group[items] == g] for g in np.unique(group[items])}
        rows = []
        for query in draw.choice(items, config.lists):
            same = members[group[query]]
            if own:
                same = same[same != query]
                best, good = np.array([query]), draw.choice(same, 3)
            else:
                best = draw.choice(same[same != query], 2)
                good = draw.choice(members[CONFUSABLE[group[query]]], 2)
            near = {int(group[query]), *group[good].tolist()}
            others = items[~np.isin(group[items], list(near))]
            rest = draw.choice(others, 10 - len(best) - len(good), replace=False)
            relevance = np.repeat([2, 1, 0], [len(best), len(good), len(rest)])
            order = draw.permutation(10)
            candidates = np.concatenate([best, good, rest])[order]
            rows.append((np.append(query, candidates), relevance[order]))
        chosen.append([row[0] for row in rows])
        labels.append([row[1] for row in rows])
    return np.array(chosen, np.int32), np.array(labels, np.float32)


def digits(config: Config, seed: int) -> Lists:
    """Images of digits as eight rows of pixels.

    Args:
      config: the numbers.
      seed: of the lists.

    Returns:
      The lists.
    """
    data = load_digits()
    both = [{**data.train}, {**data.test}]
    images = np.concatenate([np.asarray(b["image"], np.float32) for b in both])
    labels = np.concatenate([np.asarray(b["label"]) for b in both])
    x = images.reshape(len(images), PIECES, -1) / images.max()
    draw = np.random.default_rng([seed, 0])
    return Lists(x, x, *draw_lists(draw, labels, False, config))


def passages(config: Config, seed: int, text: str = "") -> Lists:
    """Halves of passages as eight pieces, each as counts of its three-grams.

    Args:
      config: the numbers.
      seed: of the lists.
      text: a file; empty: the standard library.

    Returns:
      The lists; a query is a second half, a document a first half.
    """
    width, each = 480, 8
    found = corpus.sources(text, count=config.modules, least=width * each)
    tokens = np.stack([corpus.encoded(x)[: width * each] for x in found.values()])
    pieces = tokens.reshape(-1, 2, PIECES, width // 2 // PIECES).astype(np.uint32)
    grams = pieces[..., :-2] * 961 + pieces[..., 1:-1] * 31 + pieces[..., 2:]
    bins = grams * np.uint32(2654435761) >> np.uint32(27)
    counts = np.stack([(bins == b).sum(-1) for b in range(32)], axis=-1)
    x = np.sqrt(counts).astype(np.float32)
    group = np.repeat(np.arange(len(found)), each)
    draw = np.random.default_rng([seed, 1])
    return Lists(x[:, 1], x[:, 0], *draw_lists(draw, group, True, config))
