"""Agreement of two Lookbehinds that should be the same method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from experiments.studies.sharpness import rows
from experiments.studies.sharpness.columns import Scores
from experiments.studies.sharpness.config import Panel
from experiments.studies.sharpness.evaluation import CLEAN


class Agreement(NamedTuple):
    """Two rows that should be the same method.

    Attributes:
      runs: pairs of runs, of all settings without decay and all seeds.
      equal: how many have the same clean test accuracy.
      largest: the largest difference of the two accuracies.
    """

    runs: int
    equal: int
    largest: float


def redundancy(scores: Mapping[str, Scores], panel: Panel) -> Agreement | None:
    """Agreement of two Lookbehinds whose alpha is said to be a factor on the step size.

    Args:
      scores: by name of row.
      panel: their panel.

    Returns:
      That of two of the same product of step size and alpha; None where one of them
      was not run.
    """
    names = ("lookbehind k=2 static", "lookbehind k=2 alpha=0.2")
    if not set(names) <= scores.keys():
        return None
    row = next(row for row in rows.ROWS if row.name == names[0])
    plain = [i for i, s in enumerate(rows.settings(row, panel)) if s.decay == 0]
    one, two = (scores[name][CLEAN][plain, :, 1] for name in names)
    apart = np.abs(one - two)
    return Agreement(apart.size, int(np.sum(apart == 0)), float(np.max(apart)))
