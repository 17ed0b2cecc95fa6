"""The claims about few labels, and their table."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report
from experiments.harness.verdicts import Claim
from experiments.studies import panels
from experiments.studies.few_labels.config import Config
from experiments.studies.few_labels.measure import (
    FIXMATCH,
    HYBRIDNET,
    SHRINKMATCH,
    SUPERVISED,
    TEACHER,
    Measured,
)

_PAPERS = {
    FIXMATCH: "Sohn et al. 2020, arXiv:2001.07685",
    SHRINKMATCH: "Yang et al. 2023, arXiv:2308.06777",
    HYBRIDNET: "Robert, Thome and Cord 2018, arXiv:1807.11407",
    TEACHER: "Tarvainen and Valpola 2017, arXiv:1703.01780",
}
_PAIRS = (
    *((arm, SUPERVISED) for arm in _PAPERS),
    (SHRINKMATCH, FIXMATCH),
    (HYBRIDNET, TEACHER),
)


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence, seed by seed.

    See ``ClaimedExperiment.claims``.
    """
    del config
    accuracy = {n: x.astype(np.float64) for n, x in measured.accuracy.items()}
    return [
        Claim(
            f"a higher test accuracy than {other}",
            arm,
            accuracy[arm] - accuracy[other],
            scale=100,
            unit=" %",
            paper=_PAPERS[arm],
        )
        for arm, other in _PAIRS
    ]


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure; see ``Experiment.report``."""
    title = (
        f"digits, {config.labels} labels a class, {config.steps} steps, means over "
        f"{config.seeds} seeds"
    )
    columns = {"test accuracy": measured.accuracy}
    table = panels.arms_table(title, columns)
    return Report({"measured": measured}, [table], {"accuracy": panels.dots(columns)})
