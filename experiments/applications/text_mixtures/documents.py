"""Documents of several sources, with planted near copies."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from experiments.applications import corpus
from experiments.applications.application import Settings
from jaxopt_lab.core.errors import InputError

SOURCES = 4
SIZE = 500


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size.

    Attributes:
      steps: of Adam.
      batch: rows of a step.
      context: characters of a row.
      width: of the model.
      depth: of the model.
      rate: of Adam.
      modules: texts, an equal part of each source, of which a quarter is for the test.
      documents: of 500 characters of a text.
      originals: documents of a source that are copied.
      copies: of each, half in its source and half in the next, with one stretch of 5 %
        of the characters replaced.
      test: rows of the test of each source.
    """

    steps: int = 250
    batch: int = 8
    context: int = 64
    width: int = 32
    depth: int = 2
    rate: float = 5e-3
    modules: int = 48
    documents: int = 10
    originals: int = 8
    copies: int = 12
    test: int = 48


class Corpus(NamedTuple):
    """Documents with planted copies.

    Attributes:
      documents: texts.
      source: ``(n,)`` of each.
      original: ``(n,)``, the document that it was made from, itself for others.
      test: the texts for the test, of each source.
    """

    documents: list[str]
    source: np.ndarray
    original: np.ndarray
    test: list[list[str]]


def planted(config: Config, seed: int, text: str = "") -> Corpus:
    """Documents of four sources, and copies of some.

    Args:
      config: the size.
      seed: of the choice and the edits.
      text: a file; empty: the standard library.

    Returns:
      The documents in a random order.

    Raises:
      InputError: there are to be no copies, or there is not enough text.
    """
    if not config.originals * config.copies:
        raise InputError("a corpus without copies has nothing to find; accepted: some")
    least = SIZE * config.documents
    found = [*corpus.sources(text, count=config.modules, least=least).values()]
    parts = np.array_split(np.arange(len(found)), SOURCES)
    draw = np.random.default_rng([seed, 3])
    documents, source, original, test = [], [], [], []
    for number, members in enumerate(parts):
        test.append([found[i] for i in members[::4]])
        own = [found[i] for k, i in enumerate(members) if k % 4]
        cuts = [x[a : a + SIZE] for x in own for a in range(0, least, SIZE)]
        begin = len(documents)
        documents += cuts
        source += [number] * len(cuts)
        original += range(begin, begin + len(cuts))
        for i in begin + draw.choice(len(cuts), config.originals, replace=False):
            for copy in range(config.copies):
                documents.append(edited(documents[i], draw))
                source.append((number + copy % 2) % SOURCES)
                original.append(int(i))
    order = draw.permutation(len(documents))
    place = np.argsort(order)
    return Corpus(
        [documents[i] for i in order],
        np.array(source)[order],
        place[np.array(original)[order]],
        test,
    )


def edited(document: str, draw: np.random.Generator, share: float = 0.05) -> str:
    """A document with a stretch of its characters replaced by random letters."""
    count = max(1, round(share * len(document)))
    start = int(draw.integers(0, len(document) - count + 1))
    letters = draw.choice(list("abcdefghijklmnopqrstuvwxyz "), count)
    return document[:start] + "".join(letters) + document[start + count :]


def pair_scores(groups: np.ndarray, original: np.ndarray) -> tuple[float, float]:
    """Precision and recall of the pairs of documents that are in one group.

    Args:
      groups: of ``deduplicate``.
      original: of ``Corpus``.

    Returns:
      Precision, 1 of no pair, and recall.
    """
    upper = np.triu(np.ones((len(groups),) * 2, bool), 1)
    joined = (groups[:, None] == groups) & upper
    alike = (original[:, None] == original) & upper
    both = np.sum(joined & alike)
    return float(both / max(joined.sum(), 1)), float(both / max(alike.sum(), 1))


def pieces(data: Corpus) -> list[str]:
    """The texts for the test, cut as the documents are."""
    every = [text for texts in data.test for text in texts]
    return [x[a : a + SIZE] for x in every for a in range(0, len(x), SIZE)]
