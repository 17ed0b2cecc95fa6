"""The claims about searches of graph layers, their tables and figures."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies.graph_search.config import Config
from experiments.studies.graph_search.measure import (
    EVOLUTION,
    EXPLORER,
    KNOWN,
    RANDOM,
    SEARCHES,
    Measured,
)
from experiments.studies.panels import arms_table, dots, lines


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence; see ``ClaimedExperiment.claims``."""
    del config
    percent = {"scale": 100, "unit": " %"}
    test, area = measured.test, {n: c.mean(1) for n, c in measured.curve.items()}
    found = [
        Claim(
            f"a better network on the test nodes than {other}",
            EXPLORER,
            test[EXPLORER] - test[other],
            **percent,
        )
        for other in (*KNOWN, RANDOM, EVOLUTION)
    ]
    text = "a larger area under the best accuracy so far than {}"
    return found + [
        Claim(text.format(other), EXPLORER, area[EXPLORER] - area[other], **percent)
        for other in (RANDOM, EVOLUTION)
    ]


def report(measured: Measured, config: Config) -> Report:
    """Numbers, tables and figures; see ``Experiment.report``."""
    curves = {name: 100 * curve for name, curve in measured.curve.items()}
    columns = {
        "test, %": {name: 100 * t for name, t in measured.test.items()},
        "best in validation, %": {n: c[:, -1] for n, c in curves.items()},
        "area, %": {n: c.mean(1) for n, c in curves.items()},
    }
    title = (
        f"{config.nodes} digits, {config.budget} candidates of {config.steps} steps, "
        f"{config.seeds} seeds; compilations of the training: {measured.compilations}"
    )
    best = Table(
        "the best candidates of all seeds: attention, aggregate, activation, width",
        ("search", "first layer; second layer"),
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
