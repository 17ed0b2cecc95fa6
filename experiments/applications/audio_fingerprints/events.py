"""Events from pairs of recordings: components, positions, segments, quality."""

from __future__ import annotations

import itertools

import numpy as np

from experiments.applications.audio_fingerprints.config import HOP, RATE
from experiments.applications.audio_fingerprints.landmarks import Pairs


def components(found: Pairs, kept: np.ndarray, count: int) -> np.ndarray:
    """The number of the event of each recording, that of its first recording.

    Args:
      found: the pairs.
      kept: ``(pairs,)``, whether a pair is an edge.
      count: number of recordings.

    Returns:
      ``(count,)``.
    """
    event = np.arange(count)
    ends = found.a[kept], found.b[kept]
    while True:
        least = np.minimum(event[ends[0]], event[ends[1]])
        new = event.copy()
        for end in ends:
            np.minimum.at(new, end, least)
        new = new[new]
        if np.array_equal(new, event):
            return event
        event = new


def positions(found: Pairs, kept: np.ndarray, event: np.ndarray) -> np.ndarray:
    r"""Places of the recordings on the time lines of their events, in frames.

    They minimize :math:`\sum m_{ab} (p_b - p_a - o_{ab})^2` with 0 for the first of
    each event: a weighted graph Laplacian.

    Args:
      found: the pairs.
      kept: which are edges.
      event: of ``components``.

    Returns:
      ``(count,)``.
    """
    count = len(event)
    a, b = found.a[kept], found.b[kept]
    weight, offset = found.matches[kept].astype(float), found.offset[kept]
    matrix, right = np.zeros((count, count)), np.zeros(count)
    for one, two, sign in ((a, b, -1), (b, a, 1)):
        np.add.at(matrix, (one, one), weight)
        np.add.at(matrix, (one, two), -weight)
        np.add.at(right, one, sign * weight * offset)
    free = event != np.arange(count)
    place = np.zeros(count)
    if np.any(free):
        place[free] = np.linalg.solve(matrix[np.ix_(free, free)], right[free])
    return place


def overlaps(found: Pairs, frames: np.ndarray) -> np.ndarray:
    """Seconds that both recordings of a pair have in common at its offset.

    Args:
      found: the pairs.
      frames: length of each recording.

    Returns:
      ``(pairs,)``, at least one frame.
    """
    end = np.minimum(frames[found.a], found.offset + frames[found.b])
    return np.maximum(end - np.maximum(0, found.offset), 1) * HOP / RATE


def segments(
    place: np.ndarray, frames: np.ndarray, event: np.ndarray
) -> list[tuple[float, float, np.ndarray]]:
    """The time lines, cut at all starts and ends: pieces with a constant set.

    Args:
      place: of ``positions``.
      frames: length of each recording.
      event: of ``components``.

    Returns:
      ``(start, end, recordings)`` in frames of each piece that someone recorded.
    """
    place = np.round(place, 6)  # else roundings cut slivers
    found = []
    for first in np.unique(event):
        own = np.flatnonzero(event == first)
        cuts = np.unique(np.concatenate([place[own], place[own] + frames[own]]))
        for start, end in itertools.pairwise(cuts):
            middle = (start + end) / 2
            inside = (place[own] < middle) & (middle < place[own] + frames[own])
            if np.any(inside):
                found.append((float(start), float(end), own[inside]))
    return found


def quality(
    found: Pairs, kept: np.ndarray, event: np.ndarray, frames: np.ndarray
) -> np.ndarray:
    """Matched landmarks a second of overlap, over the partners of each recording.

    Good recordings agree with more of the others. Of each segment it is the mean over
    the partners there, so that segments of many and of few recordings compare; of a
    recording, the mean over its segments by their length.

    Args:
      found: the pairs.
      kept: which are edges.
      event: of ``components``.
      frames: length of each recording.

    Returns:
      ``(count,)``; NaN for a recording without a partner.
    """
    count = len(event)
    rate = np.full((count, count), np.nan)
    each = found.matches / overlaps(found, frames)
    rate[found.a[kept], found.b[kept]] = rate[found.b[kept], found.a[kept]] = each[kept]
    total, weight = np.zeros(count), np.zeros(count)
    place = positions(found, kept, event)
    for start, end, inside in segments(place, frames, event):
        own = rate[np.ix_(inside, inside)]
        known = np.isfinite(own)
        partners = known.sum(axis=1)
        some = inside[partners > 0]
        mean = np.where(known, own, 0).sum(axis=1)[partners > 0]
        total[some] += (end - start) * mean / partners[partners > 0]
        weight[some] += end - start
    return np.where(weight > 0, total / np.where(weight > 0, weight, 1), np.nan)
