"""Cells of the levels: their targets, the detections in them, and their score."""

from __future__ import annotations

import numpy as np

from experiments.applications import canvases
from experiments.applications.canvases import CLASSES, Canvases

SIZE, STRIDES, NOMINAL = 64, (4, 8, 16), (8, 16, 32)


def level_of(side: np.ndarray) -> np.ndarray:
    """The level whose nominal size is nearest, on the scale of logarithms.

    >>> level_of(np.array([8, 11, 12, 22, 23, 40])).tolist()
    [0, 0, 1, 1, 2, 2]
    """
    return np.clip(np.round(np.log2(side / NOMINAL[0])), 0, 2).astype(int)


def targets(drawn: Canvases) -> np.ndarray:
    """The class of each cell, -1 where no object has its centre; ``(n, cells)``."""
    cells = [SIZE // stride for stride in STRIDES]
    starts = np.cumsum([0, *(n * n for n in cells)])
    found = np.full((len(drawn.images), starts[-1]), -1, np.int32)
    for i, j in np.argwhere(drawn.labels >= 0):
        row, column, side = drawn.boxes[i, j]
        level = int(level_of(side))
        stride, n = STRIDES[level], cells[level]
        at = starts[level] + int(row // stride) * n + int(column // stride)
        found[i, at] = drawn.labels[i, j]
    return found


def detections(logits: np.ndarray, least: float) -> list[np.ndarray]:
    """Peaks of all levels, without those near a more certain one.

    Args:
      logits: ``(n, cells, 1 + classes)``.
      least: probability of a detection.

    Returns:
      For each canvas rows of probability, row, column and class.
    """
    found, start = [[] for _ in logits], 0
    for stride, nominal in zip(STRIDES, NOMINAL, strict=True):
        n = SIZE // stride
        part = logits[:, start : start + n * n].reshape(-1, n, n, 1 + CLASSES)
        start += n * n
        p = 1 / (1 + np.exp(-part[..., 0]))
        for i, r, c in np.argwhere(p >= least):
            label = int(np.argmax(part[i, r, c, 1:]))
            place = (r + 0.5) * stride, (c + 0.5) * stride
            found[i].append((p[i, r, c], *place, label, nominal))
    kept = []
    for rows in found:
        own: list[tuple] = []
        for row in sorted(rows, reverse=True):
            near = (max(abs(row[1] - o[1]), abs(row[2] - o[2])) < o[4] / 2 for o in own)
            if not any(near):
                own.append(row)
        kept.append(np.array([row[:4] for row in own]).reshape(-1, 4))
    return kept


def score(found: list[np.ndarray], drawn: Canvases, *, classes: bool = False) -> float:
    """F1: an object is found by one detection within half its side.

    Args:
      found: of ``detections``.
      drawn: the canvases.
      classes: whether the class must be right, too.

    Returns:
      The score of all canvases together.
    """
    right = 0
    for i, rows in enumerate(found):
        free = set(np.flatnonzero(drawn.labels[i] >= 0).tolist())
        for _, row, column, label in rows:
            far = {
                j: max(abs(drawn.boxes[i, j, :2] - (row, column))) for j in sorted(free)
            }
            own = [j for j, d in far.items() if d < drawn.boxes[i, j, 2] / 2]
            if classes:
                own = [j for j in own if drawn.labels[i, j] == label]
            if own:
                free.remove(min(own, key=far.__getitem__))
                right += 1
    there = int(np.sum(drawn.labels >= 0))
    return canvases.f1(right, sum(map(len, found)), there)
