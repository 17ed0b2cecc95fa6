"""The claims about searches of architectures, their tables and figures."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies.grammar_search.config import Config
from experiments.studies.grammar_search.measure import (
    RANDOM,
    SCRATCH,
    SEARCHES,
    SEEDED,
    START,
    Measured,
)
from experiments.studies.panels import arms_table, dots, lines


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence; see ``ClaimedExperiment.claims``."""
    del config
    percent = {"scale": 100, "unit": " %"}
    last = {name: curve[:, -1] for name, curve in measured.curve.items()}
    pairs = [
        ("a better validation accuracy than random draws", SCRATCH, last, RANDOM),
        ("a better network on the test than of random draws", SCRATCH, None, RANDOM),
        ("a better network on the test than the start", SEEDED, None, START),
        ("a better network on the test than of random draws", SEEDED, None, RANDOM),
    ]
    found = []
    for text, name, values, other in pairs:
        own = measured.test if values is None else values
        found.append(Claim(text, name, own[name] - own[other], **percent))
    return found


def report(measured: Measured, config: Config) -> Report:
    """Numbers, tables and figures; see ``Experiment.report``."""
    curves = {name: 100 * curve for name, curve in measured.curve.items()}
    columns = {
        "test, %": {name: 100 * t for name, t in measured.test.items()},
        "best in validation, %": {n: c[:, -1] for n, c in curves.items()},
        "parameters": dict(measured.parameters),
    }
    compiled = measured.compilations
    title = (
        f"{config.budget} candidates of {config.steps} steps, {config.seeds} seeds; "
        f"compilations of a seed: {compiled.min():.0f} to {compiled.max():.0f}, in all "
        f"{compiled.sum():.0f}"
    )
    best = Table(
        "the best candidates of all seeds",
        ("search", "architecture"),
        [(name, measured.best[name]) for name in SEARCHES],
    )
    number = np.arange(1, config.budget + 1)
    labels = ("trained candidates", "best validation accuracy so far, %")
    drawn = {
        "test": dots({"": measured.test}, label="test accuracy, %", scale=100),
        "curves": lines({"": {n: c.T for n, c in curves.items()}}, number, labels),
    }
    tables = [arms_table(title, columns, "network"), best]
    return Report({"measured": measured}, tables, drawn)
