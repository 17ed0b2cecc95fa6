"""Graphs of digits: each one and the digits that are nearest to it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from jaxopt_lab.core.neighbours import nearest


class DigitGraph(NamedTuple):
    """Some digits, their neighbours, and those whose labels are known.

    Attributes:
      x: ``(nodes, 64)``.
      y: ``(nodes,)``.
      near: ``(nodes, neighbours)``, the nearest others, the nearest first.
      known: float32, ``(nodes,)``: 1 where a network may see the label, else 0.
    """

    x: np.ndarray
    y: np.ndarray
    near: np.ndarray
    known: np.ndarray


def drawn(
    seed: int, inputs: Any, labels: Any, nodes: int, near: int, known: int
) -> DigitGraph:
    """A graph of random digits.

    Args:
      seed: of the draw.
      inputs: ``(n, 64)``, all digits.
      labels: ``(n,)``.
      nodes: digits of the graph.
      near: neighbours of each.
      known: labels of each class that are known.

    Returns:
      The graph.
    """
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(inputs), nodes, replace=False)
    x, y = inputs[chosen], labels[chosen]
    seen = np.zeros(nodes, np.float32)
    for label in range(10):
        seen[np.flatnonzero(y == label)[:known]] = 1
    found = nearest(x, x, near, exclude_same_index=True)
    return DigitGraph(x, y, np.asarray(found.indices), seen)
