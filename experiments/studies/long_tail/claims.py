"""The claims about long tails, and their table."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report
from experiments.harness.verdicts import Claim
from experiments.studies import panels
from experiments.studies.long_tail.config import Config
from experiments.studies.long_tail.measure import (
    ADJUSTED,
    EXPERTS,
    FORMER,
    PLAIN,
    Measured,
)

_PAPERS = {
    ADJUSTED: "Menon et al. 2020, arXiv:2007.07314",
    EXPERTS: "Zhao et al. 2023, arXiv:2308.09922",
    FORMER: "Hou et al. 2022, arXiv:2203.01522",
}
_CONTROL = "the control sees each feature once: twice gives the same mean loss"


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence, seed by seed.

    See ``ClaimedExperiment.claims``.
    """
    del config
    found = []
    for classes, by_arm in measured.accuracy.items():
        accuracy = {n: x.astype(np.float64) for n, x in by_arm.items()}
        pairs = [(arm, PLAIN) for arm in _PAPERS] + [(EXPERTS, ADJUSTED)]
        found += [
            Claim(
                f"a higher test accuracy than {other}",
                f"{classes}: {arm}",
                accuracy[arm] - accuracy[other],
                evidence=_CONTROL if arm == FORMER else "",
                scale=100,
                unit=" %",
                paper=_PAPERS[arm],
            )
            for arm, other in pairs
        ]
    return found


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure; see ``Experiment.report``."""
    columns = {f"accuracy, {n}": arms for n, arms in measured.accuracy.items()}
    title = (
        f"classes of {config.most} to {config.least} noisy digits, {config.steps} "
        f"steps, means over {config.seeds} seeds"
    )
    table = panels.arms_table(title, columns)
    return Report({"measured": measured}, [table], {"accuracy": panels.dots(columns)})
