"""The claims about calibration, and their table."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report
from experiments.harness.verdicts import Claim
from experiments.studies import panels
from experiments.studies.calibration.config import Config
from experiments.studies.calibration.measure import (
    CROSS_ENTROPY,
    NONE,
    PLAIN,
    TEMPERATURE,
    Measured,
)
from jaxopt_lab import catalog

ECE = "expected_calibration_error"
_RANK = "Noh et al. 2023, arXiv:2308.11990"


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence, seed by seed.

    See ``ClaimedExperiment.claims``.
    """
    del config
    values = measured.values
    of = lambda loss, name, measure: values[loss][name][measure].astype(np.float64)
    found = []
    for name in values[PLAIN]:
        if name == NONE:
            continue
        paper = catalog.get(name, "estimator").paper
        for measure in (ECE, "classwise_calibration_error", CROSS_ENTROPY):
            fall = of(PLAIN, NONE, measure) - of(PLAIN, name, measure)
            text = f"lowers the {measure.replace('_', ' ')}"
            found.append(Claim(text, name, fall, paper=paper))
        if name != TEMPERATURE:
            fall = of(PLAIN, TEMPERATURE, ECE) - of(PLAIN, name, ECE)
            text = "a lower expected calibration error than after a temperature"
            found.append(Claim(text, name, fall, paper=paper))
    for loss in values:
        if not loss.startswith("RankMixup"):
            continue
        for other in (PLAIN, "mixup"):
            for name in (NONE, TEMPERATURE):
                text = f"a lower expected calibration error than {other}"
                text += ", both after a temperature" if name != NONE else ""
                fall = of(other, name, ECE) - of(loss, name, ECE)
                found.append(Claim(text, loss, fall, paper=_RANK))
        gain = of(loss, NONE, "accuracy") - of(PLAIN, NONE, "accuracy")
        found.append(
            Claim(
                f"the accuracy is that of {PLAIN} or more, within a point",
                loss,
                gain,
                (-0.01, float("inf")),
                scale=100,
                unit=" %",
                paper=_RANK,
            )
        )
    return found


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure; see ``Experiment.report``."""
    by_measure: dict[str, dict[str, np.ndarray]] = {}
    for loss, by_name in measured.values.items():
        for name, values in by_name.items():
            arm = loss if name == NONE else f"{loss}, {name.replace('_', ' ')}"
            for measure, each in values.items():
                by_measure.setdefault(measure.replace("_", " "), {})[arm] = each
    title = (
        f"{config.train} noisy digits, {config.steps} steps; means over "
        f"{config.seeds} seeds"
    )
    table = panels.arms_table(title, by_measure)
    shown = (ECE, CROSS_ENTROPY)
    drawn = panels.dots(
        {n.replace("_", " "): by_measure[n.replace("_", " ")] for n in shown}
    )
    return Report({"measured": measured}, [table], {"errors": drawn})
