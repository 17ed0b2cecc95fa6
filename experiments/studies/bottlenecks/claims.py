"""The claims about hourglass perceptrons, and their table."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies.bottlenecks.config import Config
from experiments.studies.bottlenecks.measure import Measured


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence, at every budget.

    Args:
      measured: the measurements.
      config: the size of the study.

    Returns:
      The claims.
    """
    del config
    found = []
    for budget, errors in measured.errors.items():
        where = f"{int(budget):,} parameters"
        less = np.log(errors["conventional"] / errors["hourglass"])
        text = "the error of an hourglass is below that of a conventional perceptron"
        found.append(Claim(text, where, less, unit=" ln"))
        more = 100 * (errors["hourglass"] / errors["trained lift"] - 1)
        text = "a constant lift is within 2 % of a trained one"
        found.append(Claim(text, where, more, (-np.inf, 2.0), unit=" %"))
    return found


def report(measured: Measured, config: Config) -> Report:
    """Numbers and a table; see ``Experiment.report``."""
    rows = [
        (
            f"{int(budget):,}",
            arm,
            *(str(n) for n in measured.sizes[budget][arm]),
            f"{errors.mean():.5f}",
        )
        for budget, arms in measured.errors.items()
        for arm, errors in arms.items()
    ]
    table = Table(
        f"Digits with noise of {config.noise:g}, {config.steps} steps, means over "
        f"{config.seeds} seeds",
        ("budget", "arm", "skip", "bottleneck", "depth", "test error"),
        rows,
    )
    return Report({"measured": measured}, [table])
