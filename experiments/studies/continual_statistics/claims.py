"""The claims about statistics in continual learning, and their table."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies import scores
from experiments.studies.continual_statistics.config import Config
from experiments.studies.continual_statistics.measure import (
    ARMS,
    BALANCED,
    BN,
    WHOLE,
    Measured,
)
from experiments.studies.panels import dots


def chosen(measured: Measured, config: Config) -> dict[str, dict[str, np.ndarray]]:
    """All measures at the rate that an arm chose by the accuracy, by measure and arm.

    Args:
      measured: the measurements.
      config: the size of the study.

    Returns:
      Arrays over the second half of the seeds.
    """
    found: dict[str, dict[str, np.ndarray]] = {n: {} for n in measured._fields}
    for arm in ARMS:
        rate = scores.score(measured.accuracy[arm].T, config.rates).rate
        place, half = config.rates.index(rate), config.seeds // 2
        for name, values in measured._asdict().items():
            found[name][arm] = values[arm][half:, place]
    return found


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence; see ``ClaimedExperiment.claims``."""
    by = chosen(measured, config)
    percent = {"scale": 100, "unit": " %"}
    found = []
    for arm in (BALANCED, WHOLE):
        gain = by["accuracy"][arm] - by["accuracy"][BN]
        found.append(Claim(f"more accurate than {BN}", arm, gain, **percent))
    gain = by["before"][WHOLE] - by["before"][BN]
    text = f"more accurate than {BN} on the tasks before the last"
    found.append(Claim(text, WHOLE, gain, **percent))
    gain = by["accuracy"][WHOLE] - by["accuracy"][BALANCED]
    found.append(Claim("the penalty makes it more accurate", WHOLE, gain, **percent))
    nearer = np.log(by["distance"][BN]) - np.log(by["distance"][WHOLE])
    text = f"its stored means are nearer to those of all classes than those of {BN}"
    return [*found, Claim(text, WHOLE, nearer)]


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure; see ``Experiment.report``."""
    by = chosen(measured, config)
    rows = [
        (
            arm,
            f"{100 * by['accuracy'][arm].mean():.1f}",
            f"{100 * by['before'][arm].mean():.1f}",
            f"{by['distance'][arm].mean():.3f}",
        )
        for arm in ARMS
    ]
    table = Table(
        f"digits, {config.tasks} tasks of two classes",
        ("arm", "accuracy, %", "before the last task, %", "distance of means"),
        rows,
    )
    values = {"all classes": by["accuracy"], "tasks before the last": by["before"]}
    drawn = {"accuracy": dots(values, label="test accuracy, %", scale=100)}
    return Report({"measured": measured}, [table], drawn)
