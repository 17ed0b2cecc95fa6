"""A filter of false edges that sees what it decided before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.applications.audio_fingerprints.events import (
    components,
    overlaps,
    positions,
)
from experiments.applications.audio_fingerprints.landmarks import Pairs


class Edges(NamedTuple):
    """The pairs of a set of recordings, with what is known about them.

    Attributes:
      found: the pairs with enough matches.
      frames: length of each recording.
      landmarks: number of each recording.
    """

    found: Pairs
    frames: np.ndarray
    landmarks: np.ndarray


def features(edges: Edges, kept: np.ndarray) -> np.ndarray:
    """What the filter sees of each edge, the last three as it decided before.

    Matches, those over the second best offset, those over the landmarks, the overlap,
    the recordings of the event, the residual of the positions, whether it was kept.

    Args:
      edges: the pairs.
      kept: the earlier decision.

    Returns:
      ``(pairs, 7)``, in logarithms but for the last.
    """
    found = edges.found
    event = components(found, kept, len(edges.frames))
    place = positions(found, kept, event)
    size = np.bincount(event, minlength=len(event))[event]
    same = event[found.a] == event[found.b]
    gap = np.where(same, place[found.b] - place[found.a] - found.offset, 0)
    fewest = np.minimum(edges.landmarks[found.a], edges.landmarks[found.b])
    columns = (
        np.log(found.matches),
        np.log(found.matches / (found.second + 1)),
        np.log(found.matches / fewest),
        np.log(overlaps(found, edges.frames)),
        np.log(np.maximum(size[found.a], size[found.b])),
        np.log1p(np.abs(gap)),
        kept.astype(float),
    )
    return np.stack(columns, axis=1)


class Logistic(NamedTuple):
    """A logistic regression on standardized features.

    Attributes:
      mean: of the features.
      scale: of the features.
      weights: one more than features, the last one the offset.
    """

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray

    def scores(self, x: np.ndarray) -> np.ndarray:
        """The logits; above 0 an edge is kept."""
        return _with_one((x - self.mean) / self.scale) @ self.weights


def logistic(x: np.ndarray, y: np.ndarray, *, ridge: float = 1.0) -> Logistic:
    """A regression by Newton's method.

    Args:
      x: ``(n, features)``.
      y: ``(n,)``, booleans.
      ridge: on all weights but the offset.

    Returns:
      The minimum of the cross-entropy with half the squares of the weights.
    """
    mean, scale = x.mean(axis=0), x.std(axis=0)
    scale = np.where(scale > 0, scale, 1)
    z = _with_one((x - mean) / scale)
    penalty = ridge * np.diag([1.0] * x.shape[1] + [1e-6])
    weights = np.zeros(z.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(z @ weights, -40, 40)))
        slope = z.T @ (p - y) + penalty @ weights
        bend = (z * (p * (1 - p))[:, None]).T @ z + penalty
        way = np.linalg.solve(bend, slope)
        weights = weights - way * min(1.0, 2.0 / np.max(np.abs(way) + 1e-12))
    return Logistic(mean, scale, weights)


def filtered(
    train: Sequence[Edges], truth: Sequence[np.ndarray], test: Edges, *, rounds: int
) -> np.ndarray:
    """The edges of a set that a filter keeps, trained on other sets in rounds.

    What a filter sees of earlier decisions, it sees of sets that it was not trained on:
    those about a training set are of a filter of the other ones. Decisions about the
    edges that a filter was trained on are better than any about new ones, and the next
    filter would trust them too much.

    Args:
      train: at least two sets of which the truth is known.
      truth: for each whether its edges are right.
      test: another set.
      rounds: each trains filters that see the decisions of the round before.

    Returns:
      ``(pairs,)``, for ``test``.
    """
    sides = [*train, test]
    kept = [np.ones(len(s.found.a), bool) for s in sides]
    for _ in range(rounds):
        seen = [features(s, k) for s, k in zip(sides, kept, strict=True)]
        kept = []
        for i, own in enumerate(seen):
            others = [j for j in range(len(train)) if j != i]
            x, y = (np.concatenate([a[j] for j in others]) for a in (seen, truth))
            kept.append(logistic(x, y).scores(own) > 0)
    return kept[-1]


def _with_one(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x, np.ones((len(x), 1))], axis=1)
