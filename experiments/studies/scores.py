"""Methods at the rate that each chose, and claims that one beats another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from experiments.harness.report import Table
from experiments.harness.verdicts import Claim
from jaxopt_lab.lab.statistics import mean_interval


class Score(NamedTuple):
    """A method at the step size that it chose.

    Attributes:
      rate: the step size.
      at_the_edge: whether it is the smallest or the largest of its grid.
      values: one value for each of the units that give the figures (starts, seeds).
      curve: mean over those units at every step size.
    """

    rate: float
    at_the_edge: bool
    values: np.ndarray
    curve: np.ndarray


Panels = Mapping[str, Mapping[str, Score]]
"""Scores by method, by panel."""


def score(
    values: np.ndarray, rates: tuple[float, ...], *, higher_is_better: bool = True
) -> Score:
    """Choose the step size on the first half of the units, score on the second.

    Args:
      values: shape ``(rates, units)``.
      rates: the step sizes.
      higher_is_better: whether the best mean is the highest.

    Returns:
      The score.
    """
    half = values.shape[1] // 2
    means = np.nan_to_num(values[:, :half].astype(float), nan=np.inf).mean(axis=1)
    if higher_is_better:
        means = np.where(np.isinf(means), -np.inf, means)
    best = int(np.argmax(means) if higher_is_better else np.argmin(means))
    rest = values[:, half:].astype(float)
    edge = best in (0, len(rates) - 1)
    return Score(rates[best], edge, rest[best], rest.mean(axis=1))


def better(
    where: str,
    scores: Mapping[str, Score],
    winner: str,
    other: str,
    *,
    higher_is_better: bool = True,
) -> Claim:
    """The claim that one method is better than another, paired over the units.

    Args:
      where: the panel.
      scores: by name of the method.
      winner: the method that should be better.
      other: the other.
      higher_is_better: whether higher values are better.

    Returns:
      The claim.
    """
    sign = 1 if higher_is_better else -1
    with np.errstate(invalid="ignore"):
        gains = sign * (scores[winner].values - scores[other].values)
    return Claim(f"{winner} better than {other}", where, gains)


def rate_text(score: Score) -> str:
    """The chosen rate; a star marks the edge of its grid."""
    return f"{score.rate:g}" + ("*" if score.at_the_edge else "")


def table(panels: Panels, label: str, scale: float = 1.0) -> Table:
    """The scores of all methods with Student's 95 % intervals.

    Args:
      panels: scores by method, by panel.
      label: what the score is.
      scale: factor on it.

    Returns:
      The table.
    """
    rows = []
    for where, scores in panels.items():
        for name, s in scores.items():
            mean, half = (scale * x for x in mean_interval(s.values))
            rows.append((where, name, rate_text(s), f"{mean:.3f} ± {half:.3f}"))
    title = f"{label}; * edge of the grid of rates"
    return Table(title, ("panel", "method", "rate", label), rows)
