"""Successive halving: the steps after which settings are left out, and which."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxopt_lab.core.errors import InputError


class Scored(NamedTuple):
    """A setting's last validation.

    Attributes:
      setting: its row in the grid.
      step: steps taken.
      accuracy: of every seed.
      loss: likewise, in nats.
    """

    setting: int
    step: int
    accuracy: tuple[float, ...]
    loss: tuple[float, ...]

    def rank(self, score: str) -> tuple[float, float]:
        """Larger is better: the score first, the other metric between equals.

        Args:
          score: ``"accuracy"`` or ``"loss"``.

        Returns:
          Two numbers; those of a loss that is not finite are below all others.
        """
        accuracy, loss = float(np.mean(self.accuracy)), float(np.mean(self.loss))
        if not math.isfinite(loss):
            return -math.inf, -math.inf
        return (accuracy, -loss) if score == "accuracy" else (-loss, accuracy)


def rungs(steps: int, settings: int, halving: int) -> list[int]:
    r"""The steps at which settings are compared.

    With h = ``halving`` and :math:`R = \lfloor \log_h n \rfloor` eliminations of n
    settings, rung i ends after :math:`\lceil T / h^{R - i} \rceil` of T steps.

    Args:
      steps: T, those of the settings that stay to the end.
      settings: n.
      halving: h, the part 1 / h of the settings stays each time; 0: all to the end.

    Returns:
      Rising steps; the last one is T.

    Raises:
      InputError: h is 1 or negative, or larger than n.

    >>> rungs(900, 27, 3), rungs(900, 6, 3), rungs(900, 6, 0)
    ([34, 100, 300, 900], [300, 900], [900])
    """
    if halving == 0:
        return [steps]
    if halving < 2 or halving > settings:
        raise InputError(
            f"halving={halving}; accepted: 0 for none, or from 2 to the number of "
            f"settings, {settings}"
        )
    count = 0
    while halving ** (count + 1) <= settings:
        count += 1
    ends = {-(-steps // halving ** (count - i)) for i in range(count + 1)}
    return sorted(ends)


def survivors(scored: Sequence[Scored], halving: int, score: str) -> list[int]:
    """The settings that train on.

    Args:
      scored: those of the rung.
      halving: the part 1 / ``halving`` stays, rounded up.
      score: ``"accuracy"`` or ``"loss"``.

    Returns:
      Rows in the grid, rising; of equal settings the first in the grid.
    """
    kept = -(-len(scored) // halving)
    ranked = sorted(scored, key=lambda s: s.rank(score), reverse=True)  # stable
    return sorted(s.setting for s in ranked[:kept])


def best(scored: Sequence[Scored], score: str) -> Scored:
    """The best of the settings that trained longest.

    Args:
      scored: the last validation of every setting.
      score: ``"accuracy"`` or ``"loss"``.

    Returns:
      It; of equal ones the first in the grid.

    Raises:
      InputError: no loss is finite.
    """
    last = max(s.step for s in scored)
    found = max((s for s in scored if s.step == last), key=lambda s: s.rank(score))
    if not math.isfinite(found.rank(score)[0]):
        raise InputError(
            "no setting ended with a finite loss: the learning rates may be too large"
        )
    return found
