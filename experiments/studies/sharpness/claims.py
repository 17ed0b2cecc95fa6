"""The claims of the papers, and their evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.harness.verdicts import Claim
from experiments.studies.sharpness import rows
from experiments.studies.sharpness.columns import (
    TUNED,
    UNTUNED,
    Column,
    Measured,
    Results,
    equal_radius,
    results,
    tuned,
)
from experiments.studies.sharpness.config import Config, Panel
from experiments.studies.sharpness.evaluation import CLEAN, LOSS
from experiments.studies.sharpness.report import report
from jaxopt_lab import catalog

__all__ = ["claims", "compared", "gain", "report"]


class Compared(NamedTuple):
    """One method is said to be better than another: more accurate, or flatter.

    Attributes:
      column: where.
      better: name of the row that should win.
      worse: name of the other.
    """

    column: Column
    better: str
    worse: str


_SGDS = ("sgd", "sgd, decay tuned", "sgd, early stopping", "sgd, equal gradients")


def compared(config: Config) -> list[Compared]:
    """The comparisons that the papers make.

    Args:
      config: the size of the experiment.

    Returns:
      Those of rows that are run, in the order of the table.
    """
    found = []
    for panel in config.panels:
        there = {row.name for row in rows.of(panel)}
        found += [c for c in _compared(panel) if {c.better, c.worse} <= there]
    return found


def _compared(panel: Panel) -> list[Compared]:
    others = [row.name for row in rows.ROWS if row.name not in (*_SGDS, "sam")]
    found = []
    for column in tuned(panel):
        pairs: Sequence[tuple[str, str]] = ()
        if column.name in (CLEAN, TUNED, UNTUNED):
            pairs = [("sam", sgd) for sgd in _SGDS]
            # Without decay, only the comparisons beside the tuned ones.
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
        found += [Compared(column, *pair) for pair in pairs]
    chain = [
        ("sam", "sgd"),
        ("sam", "sgd, equal gradients"),
        ("msam m=4", "sam"),
        ("msam m=16", "msam m=4"),
    ]
    for column in equal_radius(panel):
        if column.measure != LOSS:
            found += [Compared(column, *pair) for pair in chain]
    return found


def gain(said: Compared, results: Results) -> Claim | None:
    """A comparison with its evidence.

    Args:
      said: the comparison.
      results: by names of panel, column and row.

    Returns:
      The claim, or None where one of the two has no setting in the column. It is about
      points of accuracy, or the logarithm of the ratio where smaller is better, paired
      over seeds; it does not account for the choice of settings.
    """
    column = said.column
    found = [
        results.get((column.panel, column.name, name))
        for name in (said.better, said.worse)
    ]
    if found[0] is None or found[1] is None:
        return None
    better, worse = found[0].values, found[1].values
    where = f"{column.panel}, {column.name}"
    if column.flat:
        # An eigenvalue of a converged run may be zero or below.
        tiny = np.finfo(np.float32).tiny
        ratio = np.log(np.maximum(worse, tiny)) - np.log(np.maximum(better, tiny))
        return Claim(f"{said.better} flatter {said.worse}", where, ratio, unit=" ln")
    text = f"{said.better} > {said.worse}"
    return Claim(text, where, better - worse, scale=100, unit=" points")


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims of the papers about the rows that were run, with their evidence.

    See ``ClaimedExperiment.claims``.
    """
    found, methods = results(measured, config), {r.name: r.method for r in rows.ROWS}
    claimed = []
    for said in compared(config):
        claim = gain(said, found)
        if claim is not None:
            paper = catalog.get(methods[said.better], "transform").paper
            claimed.append(claim._replace(paper=paper))
    return claimed
