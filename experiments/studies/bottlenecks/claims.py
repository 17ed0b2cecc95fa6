"""The claims about hourglass perceptrons, their table and their figure."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies import panels
from experiments.studies.bottlenecks.config import Config
from experiments.studies.bottlenecks.measure import ARMS, LIFTS, Measured
from jaxopt_lab.layers import hourglass_size

FEATURES = 64
"""Pixels of an image."""


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence, at every budget.

    See ``ClaimedExperiment.claims``.
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
    """Numbers, a table and a figure; see ``Experiment.report``."""
    rows = []
    for budget, arms in measured.errors.items():
        for arm, errors in arms.items():
            skip, bottleneck, depth = map(int, measured.sizes[budget][arm])
            used = hourglass_size(
                FEATURES, skip=skip, bottleneck=bottleneck, depth=depth, lift=LIFTS[arm]
            )
            counts = (skip, bottleneck, depth, *used)
            texts = (f"{n:,}" for n in counts)
            rows.append((f"{int(budget):,}", arm, *texts, f"{errors.mean():.5f}"))
    table = Table(
        f"Digits with noise of {config.noise:g}, {config.steps} steps, means over "
        f"{config.seeds} seeds",
        (
            "budget",
            "arm",
            "skip",
            "bottleneck",
            "depth",
            "trained",
            "in all",
            "test error",
        ),
        rows,
    )
    lines = {
        arm: np.stack([arms[arm] for arms in measured.errors.values()]) for arm in ARMS
    }
    figure = panels.lines(
        {"Digits with noise": lines},
        [float(budget) for budget in measured.errors],
        ("trained parameters", "mean squared error of the test"),
        ("log", "linear"),
    )
    return Report({"measured": measured}, [table], {"errors": figure})
