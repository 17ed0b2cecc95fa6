"""What is said about the edge of stability, and whether it holds here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from experiments.studies.edge_of_stability.config import Config, Row
from experiments.studies.edge_of_stability.measure import Trajectory
from jaxopt_lab.lab.statistics import bootstrap_interval


class Verdict(NamedTuple):
    """A claim and what was found.

    Attributes:
      row: name of the optimizer.
      claim: what is said.
      low: lower end of the 95 % bootstrap interval of the mean over seeds.
      value: the mean.
      high: its upper end.
      accepted: range of values in which the claim holds.
      word: ``"holds"``, ``"does not"`` or ``"undecided"``.
    """

    row: str
    claim: str
    low: float
    value: float
    high: float
    accepted: tuple[float, float]
    word: str


def _verdict(
    row: Row, claim: str, values: np.ndarray, accepted: tuple[float, float]
) -> Verdict:
    low, high = bootstrap_interval(values)
    least, most = accepted
    word = "undecided"
    if least <= low and high <= most:
        word = "holds"
    elif high < least or most < low:
        word = "does not"
    if not np.all(np.isfinite(values)):
        word = "does not"
    return Verdict(row.name, claim, low, float(np.mean(values)), high, accepted, word)


def settled(values: np.ndarray, config: Config) -> np.ndarray:
    """Mean over the last part of the run, for each seed.

    Args:
      values: shape ``(points + 1, seeds)``.
      config: says which part.

    Returns:
      Shape ``(seeds,)``.
    """
    return values[-max(1, round(config.settled * config.points)) :].mean(axis=0)


def verdicts(
    found: Mapping[Row, Trajectory],
    config: Config,
) -> list[Verdict]:
    """The verdicts on all rows.

    Args:
      found: what was measured.
      config: the size of the experiment.

    Returns:
      One for each claim.
    """
    near = (1 - config.tolerance, 1 + config.tolerance)
    told = []
    for row, path in found.items():
        end = settled(path.sharpness, config)
        if row.kind == "sgd":
            assert path.batch_sharpness is not None
            batch = settled(path.batch_sharpness, config)
            told.append(
                _verdict(row, "batch sharpness settles at the edge", batch, near)
            )
            told.append(
                _verdict(
                    row,
                    "largest eigenvalue settles below batch sharpness",
                    end - batch,
                    (-np.inf, 0.0),
                )
            )
            continue
        told.append(_verdict(row, "sharpness settles at the edge", end, near))
        if row.progressive:
            lowest = np.nanmin(path.sharpness, axis=0)
            told.append(
                _verdict(
                    row,
                    "it comes from below: its lowest value on the way",
                    lowest,
                    (0.0, 2 / 3),
                )
            )
        told.append(
            _verdict(
                row,
                "the loss falls all the same: last over first loss",
                path.loss[-1] / path.loss[0],
                (0.0, 0.1),
            )
        )
    return told
