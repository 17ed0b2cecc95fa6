"""The table of a case's minima, and the file of all results."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from experiments.studies.landscapes.config import Case, Config
from experiments.studies.landscapes.measures import Cuts, Measures
from experiments.studies.landscapes.training import Minima
from experiments.studies.tables import print_table
from jaxopt_lab.lab.statistics import mean_interval

PAIRS = (("SAM", "SGD"), ("mSAM", "SAM"), ("Adam", "SGD"), ("Adam+CM", "Adam"))
"""Whose sharpness is compared: below 1, the first is the flatter one."""


class Found(NamedTuple):
    """What is known of an optimizer in a case."""

    minima: Minima
    measures: Measures
    cuts: Cuts


def geometric_interval(
    values: np.ndarray, confidence: float
) -> tuple[float, float, float]:
    """Geometric mean over seeds with Student's interval of the logarithms.

    Args:
      values: one for each seed, above 0.
      confidence: probability that such an interval holds the true one.

    Returns:
      The mean, the lower and the upper end; NaN where a value is not above 0.

    >>> [round(x, 3) for x in geometric_interval(np.array([1.0, 4.0]), 0.5)]
    [2.0, 1.0, 4.0]
    """
    if not np.all(values > 0):
        return math.nan, math.nan, math.nan
    mean, half = mean_interval(np.log(values), confidence)
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)


def record(
    results: Mapping[Case, Mapping[str, Found]], config: Config
) -> dict[str, Any]:
    """All numbers, for a JSON file.

    Args:
      results: by case and optimizer.
      config: the size of the experiment.

    Returns:
      A dict of plain values.
    """
    return {
        "config": dataclasses.asdict(config),
        "results": [
            {
                **case._asdict(),
                "optimizer": name,
                "setting": found.minima.setting._asdict(),
                "at_the_edge": found.minima.at_the_edge,
                **{k: v.tolist() for k, v in found.measures._asdict().items()},
            }
            for case, by_name in results.items()
            for name, found in by_name.items()
        ],
    }


def arrays(found: Mapping[str, Found]) -> dict[str, np.ndarray]:
    """The landscapes of a case, for an NPZ file.

    Args:
      found: by optimizer.

    Returns:
      Arrays by ``OPTIMIZER/KIND/PART``.
    """
    named: dict[str, np.ndarray] = {}
    for name, one in found.items():
        for kind, cut in one.cuts._asdict().items():
            for part, array in cut._asdict().items():
                named[f"{name}/{kind}/{part}"] = np.asarray(array)
    return named


def show(found: Mapping[str, Found], config: Config, case: Case) -> None:
    """Print the table of a case, and the ratios of the pairs.

    Args:
      found: by optimizer.
      config: the size of the experiment.
      case: network and loss.
    """
    losses = {"training loss": "train_loss", "test loss": "test_loss"}
    sharpness = {
        "largest eigenvalue": "top",
        f"rise, noise {config.noise:g}": "noise_rise",
        f"rise, {config.filter_step:g} filter norms": "filter_rise",
    }

    def cell(values: np.ndarray) -> str:
        mean, low, high = geometric_interval(values, config.confidence)
        return f"{mean:.3g} ({low:.2g} to {high:.2g})"

    rows = []
    for name, one in found.items():
        accuracy = mean_interval(one.measures.test_accuracy, config.confidence)
        rows.append(
            (
                f"{name}{'*' if one.minima.at_the_edge else ''}",
                f"{100 * accuracy.mean:.2f} ± {100 * accuracy.half:.2f}",
                *(
                    cell(getattr(one.measures, f))
                    for f in (losses | sharpness).values()
                ),
            )
        )
    print_table(
        f"{case.network} on digits, {case.loss} loss, {config.seeds} seeds, "
        f"{100 * config.confidence:g} % intervals; * setting at the edge of its grid",
        ("optimizer", "test accuracy, %", *losses, *sharpness),
        rows,
    )
    parts = [np.max(m.residual / m.top) for _, m, _ in found.values()]
    print(f"largest residual, part of its eigenvalue: {max(parts):.2g}")
    rows = []
    for first, second in PAIRS:
        if {first, second} <= set(found):
            one, two = found[first].measures, found[second].measures
            fields = ("train_loss", *sharpness.values())
            ratios = (cell(getattr(one, f) / getattr(two, f)) for f in fields)
            rows.append((f"{first} / {second}", *ratios))
    headings = ("ratio", *list(losses)[:1], *sharpness)
    print_table("ratios, paired over seeds", headings, rows)
