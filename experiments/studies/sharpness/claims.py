"""What the papers claim against what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from experiments.studies.sharpness import rows
from experiments.studies.sharpness.columns import (
    TUNED,
    UNTUNED,
    Column,
    Result,
    Scores,
    equal_radius,
    tuned,
)
from experiments.studies.sharpness.config import Config, Panel
from experiments.studies.sharpness.evaluation import CLEAN, LOSS
from jaxopt_lab.lab.statistics import bootstrap_interval

# (panel, column, row)
Results = Mapping[tuple[str, str, str], Result]


class Claim(NamedTuple):
    """One method is better than another: more accurate, or flatter.

    Attributes:
      column: where.
      better: name of the row that should win.
      worse: name of the other.
    """

    column: Column
    better: str
    worse: str


class Verdict(NamedTuple):
    """What became of a claim.

    Attributes:
      claim: the claim.
      gain: mean over seeds of what the better one gains: accuracy, or the logarithm of
        the ratio where smaller is better.
      low: lower end of its bootstrap interval.
      high: upper end.
      word: ``"holds"``: the interval is above 0; ``"does not"``: below; ``"level"``: it
        contains 0 and lies within the margin of it; ``"undecided"``: it is wider.
    """

    claim: Claim
    gain: float
    low: float
    high: float
    word: str


_SGDS = ("sgd", "sgd, decay tuned", "sgd, early stopping", "sgd, equal gradients")


def claims(config: Config) -> list[Claim]:
    """What is said about the methods.

    Args:
      config: the size of the experiment.

    Returns:
      The claims about rows that are run, in the order of the table.
    """
    found = []
    for panel in config.panels:
        there = {row.name for row in rows.of(panel)}
        found += [c for c in _claims(panel) if {c.better, c.worse} <= there]
    return found


def _claims(panel: Panel) -> list[Claim]:
    others = [row.name for row in rows.ROWS if row.name not in (*_SGDS, "sam")]
    found = []
    for column in tuned(panel):
        pairs: Sequence[tuple[str, str]] = ()
        if column.name in (CLEAN, TUNED, UNTUNED):
            pairs = [("sam", sgd) for sgd in _SGDS]
            # Of those without decay, only what is said beside the tuned ones.
            pairs += [(name, "sam") for name in others if column.name != UNTUNED]
        elif column.flat:
            pairs = () if column.name == LOSS else [("sam", sgd) for sgd in _SGDS]
        else:
            pairs = [
                *(("sam", sgd) for sgd in _SGDS),
                ("asam", "sam"),
                ("samson", "sam"),
                ("samson", "asam"),
                ("msam m=4", "sam"),
                ("lookbehind k=2 static", "sam"),
                ("lookbehind k=5 static", "sam"),
            ]
        found += [Claim(column, *pair) for pair in pairs]
    chain = [
        ("sam", "sgd"),
        ("sam", "sgd, equal gradients"),
        ("msam m=4", "sam"),
        ("msam m=16", "msam m=4"),
    ]
    for column in equal_radius(panel):
        if column.measure != LOSS:
            found += [Claim(column, *pair) for pair in chain]
    return found


def verdict(claim: Claim, results: Results, config: Config) -> Verdict | None:
    """Decide a claim.

    Args:
      claim: the claim.
      results: by names of panel, column and row.
      config: the size of the experiment.

    Returns:
      The verdict, or None where one of the two has no setting in the column. The
      interval is over seeds; it does not account for the choice of settings, nor for
      the number of claims.
    """
    column = claim.column
    found = [
        results.get((column.panel, column.name, name))
        for name in (claim.better, claim.worse)
    ]
    if found[0] is None or found[1] is None:
        return None
    better, worse = found[0].values, found[1].values
    if column.flat:
        # An eigenvalue of a converged run may be anything small.
        tiny = np.finfo(np.float32).tiny
        gain = np.log(np.maximum(worse, tiny)) - np.log(np.maximum(better, tiny))
    else:
        gain = better - worse
    low, high = bootstrap_interval(
        gain, confidence=config.confidence, resamples=config.resamples
    )
    within = not column.flat and -config.margin <= low and high <= config.margin
    word = "holds" if low > 0 else "does not" if high < 0 else "undecided"
    if word == "undecided" and within:
        word = "level"
    return Verdict(claim, float(gain.mean()), low, high, word)


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
    """Whether Lookbehind's alpha is more than a factor on its step size.

    Args:
      scores: by name of row.
      panel: their panel.

    Returns:
      How far two Lookbehinds of the same product of step size and alpha agree; None
      where one of them was not run.
    """
    names = ("lookbehind k=2 static", "lookbehind k=2 alpha=0.2")
    if not set(names) <= scores.keys():
        return None
    row = next(row for row in rows.ROWS if row.name == names[0])
    plain = [i for i, s in enumerate(rows.settings(row, panel)) if s.decay == 0]
    one, two = (scores[name][CLEAN][plain, :, 1] for name in names)
    apart = np.abs(one - two)
    return Agreement(apart.size, int(np.sum(apart == 0)), float(np.max(apart)))
