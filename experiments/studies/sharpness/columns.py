"""The columns of the tables, and the choice of settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from experiments.studies.sharpness import rows
from experiments.studies.sharpness.config import Config, Panel
from experiments.studies.sharpness.evaluation import (
    AVERAGE,
    CLEAN,
    EIGENVALUE,
    LOSS,
    noise_name,
)

Scores = Mapping[str, np.ndarray]
Measured = Mapping[str, Mapping[str, Scores]]
"""Scores by method, by panel."""

FLATNESS = (EIGENVALUE, AVERAGE, LOSS)
EQUAL_RADIUS_ROWS = ("sgd", "sgd, equal gradients", "sam", "msam m=4", "msam m=16")
TUNED = "decay tuned"
UNTUNED = "no decay"


class Column(NamedTuple):
    """A measure in which methods are compared.

    Attributes:
      panel: name of the panel.
      name: heading.
      measure: what is shown, a name of ``evaluation.measure``.
      chosen_by: the measure whose mean on the validation examples chooses the setting.
      decayed: whether settings with weight decay may be chosen.
      rho: a radius at which all are compared instead, without decay and at the
        panel's step size; nothing is chosen then.
    """

    panel: str
    name: str
    measure: str
    chosen_by: str
    decayed: bool = True
    rho: float | None = None

    @property
    def flat(self) -> bool:
        """Whether smaller is better, and ratios are what counts."""
        return self.measure in FLATNESS


class Result(NamedTuple):
    """A method in a column.

    Attributes:
      chosen: number of its setting; of equally good ones the first.
      at_the_edge: the chosen radius, step size, decay or stop is the smallest or the
        largest there was.
      values: value of each seed at that setting.
      curve: mean over seeds at every setting.
    """

    chosen: int
    at_the_edge: bool
    values: np.ndarray
    curve: np.ndarray


# (panel, column, row)
Results = Mapping[tuple[str, str, str], Result]


def tuned(panel: Panel) -> list[Column]:
    """The columns in which every method has the setting that is best for it.

    Args:
      panel: the panel.

    Returns:
      The columns, in the order of the table.
    """
    if panel.flipped:
        return [
            Column(panel.name, UNTUNED, CLEAN, CLEAN, decayed=False),
            Column(panel.name, TUNED, CLEAN, CLEAN),
        ]
    accuracies = [CLEAN, *map(noise_name, panel.noise_levels)]
    found = [Column(panel.name, name, name, name) for name in accuracies]
    if panel.flatness:
        found += [Column(panel.name, name, name, CLEAN) for name in FLATNESS]
    return found


def equal_radius(panel: Panel) -> list[Column]:
    """The columns in which all methods have the same radius.

    Args:
      panel: the panel.

    Returns:
      The columns, in the order of the table; only ``EQUAL_RADIUS_ROWS`` are in them.
    """
    measures = [CLEAN, *map(noise_name, panel.noise_levels), *FLATNESS]
    return [
        Column(panel.name, f"{name}, rho {rho:g}", name, name, rho=rho)
        for rho in panel.equal_radii
        for name in measures
    ]


def columns(config: Config) -> list[Column]:
    """All columns.

    Args:
      config: the size of the experiment.

    Returns:
      Those of each panel.
    """
    return [c for panel in config.panels for c in (*tuned(panel), *equal_radius(panel))]


def result(
    row: rows.Row, scores: Scores, column: Column, panel: Panel
) -> Result | None:
    """A method at the setting that its validation accuracy chooses.

    Args:
      row: the method.
      scores: as ``evaluation.measure`` gives them.
      column: what is asked for.
      panel: its panel.

    Returns:
      The result; None where no setting of the row is allowed in the column.
    """
    grid = rows.settings(row, panel)
    if column.rho is not None:
        chosen = _at_radius(row, grid, column.rho, panel)
        if chosen is None:
            return None
        at_the_edge = False
    else:
        validation = scores[column.chosen_by][..., 0].mean(axis=1)
        allowed = np.array([column.decayed or s.decay == 0 for s in grid])
        if not allowed.any():
            return None
        chosen = int(np.argmax(np.where(allowed, validation, -1.0)))
        name = {"radius": "rho", "rate": "rate", "decay": "decay", "stop": "stop"}
        tried = [getattr(s, name[row.tunes]) for s in grid]
        at_the_edge = tried[chosen] in (min(tried), max(tried))
    values = scores[column.measure]
    if not column.flat:
        values = values[..., 1]
    return Result(chosen, at_the_edge, values[chosen], values.mean(axis=1))


def _at_radius(
    row: rows.Row, grid: list[rows.Setting], rho: float, panel: Panel
) -> int | None:
    if row.name not in EQUAL_RADIUS_ROWS:
        return None
    wanted = rho if row.tunes == "radius" else 0.0
    for i, setting in enumerate(grid):
        plain = setting.decay == 0 and setting.rate == panel.learning_rate
        if plain and np.isclose(setting.rho, wanted):
            return i
    return None


def results(measured: Measured, config: Config) -> Results:
    """Every method in every column.

    Args:
      measured: scores by method, by panel.
      config: the size of the study.

    Returns:
      By names of panel, column and row.
    """
    found = {}
    for panel in config.panels:
        for row in rows.of(panel):
            scores = measured[panel.name][row.name]
            for column in (*tuned(panel), *equal_radius(panel)):
                one = result(row, scores, column, panel)
                if one is not None:
                    found[panel.name, column.name, row.name] = one
    return found
