"""The claims about guidance, and their table."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report
from experiments.harness.verdicts import Claim
from experiments.studies import panels
from experiments.studies.guidance.config import Config
from experiments.studies.guidance.measure import (
    ALONE,
    CONTROL,
    CONVOLUTIONS,
    TRAINED,
    Measured,
)


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence, seed by seed.

    See ``ClaimedExperiment.claims``.
    """
    del config
    accuracy = {n: x.astype(np.float64) for n, x in measured.accuracy.items()}
    pairs = ((TRAINED, ALONE), (CONVOLUTIONS, ALONE), (CONVOLUTIONS, CONTROL))
    found = [
        Claim(
            f"a higher test accuracy than {other}",
            arm,
            accuracy[arm] - accuracy[other],
            scale=100,
            unit=" %",
        )
        for arm, other in pairs
    ]
    alike = measured.alike[CONVOLUTIONS].astype(np.float64) - measured.alike[ALONE]
    text = "layers of the test are nearer to the guide's than alone"
    return [*found, Claim(text, CONVOLUTIONS, alike)]


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure; see ``Experiment.report``."""
    columns = {
        "test accuracy": measured.accuracy,
        "training accuracy": measured.train,
        "CKA with convolutions": measured.alike,
    }
    guide = float(np.mean(measured.guide[ALONE]))
    title = (
        f"{config.depth} layers, {config.steps} steps, means over {config.seeds} "
        f"seeds; the trained guide has a test accuracy of {guide:.3f}"
    )
    table = panels.arms_table(title, columns, "guide")
    return Report({"measured": measured}, [table], {"guides": panels.dots(columns)})
