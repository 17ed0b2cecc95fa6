"""Minima of all optimizers in all cases, and the landscapes around them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from experiments.harness.store import Store
from experiments.studies.landscapes import flatness, rows, training
from experiments.studies.landscapes.config import Case, Config
from experiments.studies.landscapes.flatness import Cuts, Measures
from experiments.studies.landscapes.training import Minima
from jaxopt_lab.data import load_digits
from jaxopt_lab.lab.statistics import geometric_interval


class Found(NamedTuple):
    """The minima of an optimizer in a case, their flatness and landscapes."""

    minima: Minima
    measures: Measures
    cuts: Cuts


Measured = Mapping[Case, Mapping[str, Found]]
"""By case and optimizer."""


def measure(config: Config, store: Store) -> Measured:
    """Train, measure and cut in every case; see ``Experiment.measure``.

    Args:
      store: not used: parameters are not kept.

    Returns:
      The minima, by case and optimizer.
    """
    del store
    dataset = load_digits()
    return {
        case: compare(training.prepare(config, case, dataset), rows.rows(config))
        for case in config.cases
    }


def compare(lab: training.Laboratory, chosen: Sequence[rows.Row]) -> dict[str, Found]:
    """Train the optimizers of a case and measure their minima.

    Args:
      lab: as ``training.prepare`` makes it.
      chosen: the optimizers; the first sets the unit of Hessian directions.

    Returns:
      The minima, by optimizer.
    """
    found = {}
    for row in chosen:
        began = time.perf_counter()
        minima = training.minima(row, lab)
        found[row.name] = (minima, *flatness.flatness(lab, minima.params))
        seconds = time.perf_counter() - began
        print(f"{lab.case.name}, {row.name}: {seconds:.0f} s", flush=True)
    first = found[chosen[0].name][1]
    unit, *_ = geometric_interval(first.top)
    return {
        name: Found(minima, measured, flatness.cut(lab, minima.params, vectors, unit))
        for name, (minima, measured, vectors) in found.items()
    }
