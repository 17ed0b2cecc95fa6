"""The claims about neural operators, and their table."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies.operators.config import Config
from experiments.studies.operators.measure import Measured

OWN = "MgNO"


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence, for both equations.

    See ``ClaimedExperiment.claims``.
    """
    del config
    found = []
    for equation, test in measured.test.items():
        gap = {n: values - measured.train[equation][n] for n, values in test.items()}
        for other in ("convolutions", "spectral"):
            found.append(
                Claim(
                    f"the relative test error is below that of {other}",
                    f"{equation}, {OWN}",
                    np.log(test[other] / test[OWN]),
                    unit=" ln",
                )
            )
        found.append(
            Claim(
                "test and training errors differ by less than those of spectral",
                f"{equation}, {OWN}",
                gap["spectral"] - gap[OWN],
                scale=100,
                unit=" %",
            )
        )
    return found


def report(measured: Measured, config: Config) -> Report:
    """Numbers and a table; see ``Experiment.report``."""
    rows = [
        (
            equation,
            name,
            str(measured.sizes[name]),
            f"{100 * values.mean():.1f} %",
            f"{100 * measured.train[equation][name].mean():.1f} %",
        )
        for equation, test in measured.test.items()
        for name, values in test.items()
    ]
    table = Table(
        f"Grids of {config.points} points a side, {config.train} pairs, {config.steps} "
        f"steps, means over {config.seeds} seeds",
        ("equation", "network", "parameters", "relative test error", "training error"),
        rows,
    )
    return Report({"measured": measured}, [table])
