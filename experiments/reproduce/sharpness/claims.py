"""The choice of settings, and what the papers claim against what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from experiments.reproduce.sharpness import rows
from experiments.reproduce.sharpness.config import Config
from experiments.statistics import bootstrap_interval


class Column(NamedTuple):
    """What an accuracy is measured under.

    Attributes:
      name: heading.
      case: 0: trained on right labels, 1: on some wrong ones.
      level: 0: without weight noise, i: with the i-th level.
    """

    name: str
    case: int
    level: int


class Result(NamedTuple):
    """A method in a column.

    Attributes:
      chosen: number of its setting with the best mean validation accuracy under the
        same weight noise; of equals the first.
      at_the_edge: the chosen radius, decay or step size is the smallest or largest
        there was.
      test: test accuracy of each seed at that setting.
      curve: mean test accuracy at every setting.
    """

    chosen: int
    at_the_edge: bool
    test: np.ndarray
    curve: np.ndarray


class Claim(NamedTuple):
    """One method is better than another.

    Attributes:
      column: where.
      better: name of the row that should win.
      worse: name of the other.
    """

    column: str
    better: str
    worse: str


class Verdict(NamedTuple):
    """What became of a claim.

    Attributes:
      claim: the claim.
      difference: mean over seeds of the difference of the two.
      low: lower end of its bootstrap interval.
      high: upper end.
      word: ``"holds"``: the interval is above 0; ``"does not"``: below;
        ``"undecided"``: it contains 0.
    """

    claim: Claim
    difference: float
    low: float
    high: float
    word: str


def columns(config: Config) -> list[Column]:
    """The columns of the table.

    Args:
      config: gives the levels of the weight noise.

    Returns:
      Clean accuracy, that at each level, that after training on wrong labels.
    """
    noisy = [
        Column(noise_name(level), 0, i + 1)
        for i, level in enumerate(config.noise_levels)
    ]
    return [Column("clean", 0, 0), *noisy, Column("label noise", 1, 0)]


def noise_name(level: float) -> str:
    """Heading of a level of the weight noise."""
    return f"weight noise {level:g}"


def result(row: rows.Row, scores: np.ndarray, column: Column, config: Config) -> Result:
    """A method at the setting that its validation accuracy chooses.

    Args:
      row: the method.
      scores: as ``training.scores`` gives them.
      column: what is asked for.
      config: the size of the experiment.

    Returns:
      The result.
    """
    validation, test = np.moveaxis(scores[column.case, :, :, column.level], -1, 0)
    chosen = int(np.argmax(validation.mean(axis=1)))
    grid = rows.settings(row, config)
    name = {"radius": "rho", "rate": "rate", "decay": "decay"}[row.tunes]
    values = [getattr(setting, name) for setting in grid]
    at_the_edge = values[chosen] in (min(values), max(values))
    return Result(chosen, at_the_edge, test[chosen], test.mean(axis=1))


def claims(config: Config) -> list[Claim]:
    """What is said about the methods.

    Args:
      config: gives the levels of the weight noise.

    Returns:
      The claims, in the order of the table.
    """
    sgds = ("sgd", "sgd, decay tuned", "sgd, equal gradients")
    more = [row.name for row in rows.ROWS if row.name not in (*sgds, "sam")]
    found = [Claim("clean", "sam", sgd) for sgd in sgds]
    found += [Claim("clean", name, "sam") for name in more]
    for level in config.noise_levels:
        column = noise_name(level)
        found += [Claim(column, "sam", sgd) for sgd in sgds]
        found += [
            Claim(column, "asam", "sam"),
            Claim(column, "samson", "sam"),
            Claim(column, "samson", "asam"),
            Claim(column, "msam m=4", "sam"),
            Claim(column, "msam m=16", "msam m=4"),
            Claim(column, "lookbehind k=2 static", "sam"),
            Claim(column, "lookbehind k=5 static", "sam"),
        ]
    found += [Claim("label noise", "sam", sgd) for sgd in sgds]
    found += [Claim("label noise", name, "sam") for name in more]
    return found


def verdict(
    claim: Claim, results: Mapping[tuple[str, str], Result], config: Config
) -> Verdict:
    """Decide a claim.

    Args:
      claim: the claim.
      results: by name of row and column.
      config: the size of the experiment.

    Returns:
      The verdict. The interval is over seeds; it does not account for the choice of
      settings, nor for the number of claims.
    """
    better, worse = (
        results[name, claim.column].test for name in (claim.better, claim.worse)
    )
    difference = better - worse
    low, high = bootstrap_interval(
        difference, confidence=config.confidence, resamples=config.resamples
    )
    word = "holds" if low > 0 else "does not" if high < 0 else "undecided"
    return Verdict(claim, float(difference.mean()), low, high, word)
