"""The claims about the metrics, and their table."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies.set_metrics.config import Config
from experiments.studies.set_metrics.measure import WAYS, Measured
from jaxopt_lab import catalog

QUALITY = ("precision", "density", "quality", "schnabel_quality", "petersen", "capture")
"""Measures that noise and invented modes shall lower."""

DIVERSITY = ("recall", "coverage", "diversity", "schnabel_diversity", "petersen")
"""Measures that dropped modes shall lower."""


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence, seed by seed.

    See ``ClaimedExperiment.claims``.
    """
    del config
    texts = {
        "noise": ("falls with every step of noise", QUALITY),
        "kept": ("falls with every step of dropped modes", DIVERSITY),
        "invented": ("falls with every step of invented modes", QUALITY),
    }
    found = []
    for way in WAYS:
        text, wanted = texts[way]
        for name, values in getattr(measured, way).items():
            if name.rpartition(": ")[2] in wanted:
                paper = catalog.get(name.partition(",")[0], "metric").paper
                # Float64 of numbers that are shares of a few hundred points.
                falls = values[:-1].astype(np.float64) - values[1:]
                found.append(Claim(text, name, falls, paper=paper))
    return found


def report(measured: Measured, config: Config) -> Report:
    """Numbers and a table a way; see ``Experiment.report``."""
    tables = []
    for way in WAYS:
        levels = getattr(config, way)
        rows = [
            (name, *(f"{level.mean():.3f}" for level in values))
            for name, values in getattr(measured, way).items()
        ]
        heads = ("measure", *(f"{way} {level:g}" for level in levels))
        title = f"{config.points} points a set, means over {config.seeds} seeds"
        tables.append(Table(title, heads, rows))
    return Report({"measured": measured}, tables, {})
