"""Methods at the rate that each chose, and claims that one beats another."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jaxopt_lab.lab.statistics import bootstrap_interval


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


class Verdict(NamedTuple):
    """A claim that one method is better than another.

    Attributes:
      where: the panel.
      better: the method that should be better.
      worse: the other.
      difference: mean over the paired units, positive if the claim is right.
      low: lower end of its 95 % bootstrap interval.
      high: upper end.
      word: ``"holds"``, ``"does not"`` (the other is better) or ``"undecided"``.
    """

    where: str
    better: str
    worse: str
    difference: float
    low: float
    high: float
    word: str


def verdict(
    where: str,
    scores: dict[str, Score],
    better: str,
    worse: str,
    *,
    higher_is_better: bool = True,
) -> Verdict:
    """Compare two methods, paired over starts or seeds.

    Args:
      where: the panel.
      scores: by name of the method.
      better: the method that should be better.
      worse: the other.
      higher_is_better: whether higher values are better.

    Returns:
      The verdict.
    """
    sign = 1 if higher_is_better else -1
    differences = sign * (scores[better].values - scores[worse].values)
    low, high = bootstrap_interval(differences)
    word = "holds" if low > 0 else "does not" if high < 0 else "undecided"
    mean = float(np.mean(differences))
    return Verdict(where, better, worse, mean, low, high, word)
