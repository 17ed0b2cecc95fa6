"""Sets of scores in several objectives, all of them to be large."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxopt_lab.core.errors import InputError


def dominates(scores: Any) -> np.ndarray:
    """Whether a point is at least as good as another in all objectives, better in one.

    Args:
      scores: ``(n, objectives)``; larger is better.

    Returns:
      ``(n, n)`` bool: row i over column j.

    >>> dominates([[1, 2], [1, 1], [2, 0]]).astype(int).tolist()
    [[0, 1, 0], [0, 0, 0], [0, 0, 0]]
    """
    s = _scores(scores)
    a, b = s[:, None], s[None]
    return np.all(a >= b, axis=-1) & np.any(a > b, axis=-1)


def nondominated_sort(scores: Any) -> np.ndarray:
    """The front that every point is on: 0 is dominated by none, 1 by those of 0, ...

    Args:
      scores: ``(n, objectives)``; larger is better.

    Returns:
      ``(n,)`` whole numbers. O(n^2) memory.

    Raises:
      InputError: the scores are no such array, or one is NaN.

    >>> nondominated_sort([[1, 2], [1, 1], [2, 0], [0, 0]]).tolist()
    [0, 1, 0, 2]
    """
    over = dominates(scores)
    ranks = np.full(len(over), -1)
    rank = 0
    while (left := ranks < 0).any():
        front = left & ~np.any(over & left[:, None], axis=0)
        ranks[front] = rank
        rank += 1
    return ranks


def crowding_distance(scores: Any) -> np.ndarray:
    """Distance between the neighbours of each point of one front.

    Args:
      scores: ``(n, objectives)`` of one front.

    Returns:
      ``(n,)``: the sum over objectives of the distance between the next lower and the
      next higher point over the range; infinite at an end.

    >>> crowding_distance([[0, 4], [1, 1], [4, 0]]).tolist()
    [inf, 2.0, inf]
    """
    s = _scores(scores)
    total = np.zeros(len(s))
    for column in s.T:
        order = np.argsort(column, kind="stable")
        low, high = column[order[0]], column[order[-1]]
        total[order[[0, -1]]] = np.inf
        if high > low and np.isfinite(high - low):
            gaps = column[order[2:]] - column[order[:-2]]
            total[order[1:-1]] += gaps / (high - low)
    return total


def hypervolume(scores: Any, reference: Sequence[float]) -> float:
    """The volume that is dominated by some points and above a reference.

    Args:
      scores: ``(n, objectives)``; larger is better. Points that are not above the
        reference in all objectives add nothing.
      reference: ``(objectives,)``.

    Returns:
      The volume: exact; O(n log n) for two objectives, slices of one objective after
      the other for more.

    Raises:
      InputError: sizes do not fit, or a score is NaN.

    >>> hypervolume([[1, 3], [2, 1]], [0, 0])
    4.0
    """
    s, low = _scores(scores), np.asarray(reference, float)
    if low.shape != s.shape[1:]:
        raise InputError(
            f"reference must have shape {s.shape[1:]}, one number for each objective; "
            f"got {low.shape}"
        )
    return _volume(s[np.all(s > low, axis=1)] - low)


def _volume(s: np.ndarray) -> float:
    if not len(s):
        return 0.0
    if s.shape[1] == 1:
        return float(s.max())
    s = s[np.argsort(-s[:, 0], kind="stable")]
    if s.shape[1] == 2:
        reached = np.maximum.accumulate(s[:, 1])
        before = np.concatenate([[0.0], reached[:-1]])
        return float(np.sum(s[:, 0] * (reached - before)))
    depths = s[:, 0] - np.append(s[1:, 0], 0.0)
    return sum(
        float(d) * _volume(s[: i + 1, 1:]) for i, d in enumerate(depths) if d > 0
    )


def _scores(scores: Any) -> np.ndarray:
    s = np.asarray(scores, float)
    if s.ndim != 2 or np.isnan(s).any():
        raise InputError(
            f"scores must be numbers (n, objectives), none NaN; got shape {s.shape}"
        )
    return s
