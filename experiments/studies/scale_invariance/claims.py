"""The claims about norms and effective steps, and their table."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim, exact
from experiments.studies.scale_invariance.config import Config
from experiments.studies.scale_invariance.measure import METHODS, PAIRS, Measured
from jaxopt_lab import catalog


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence, pair by pair.

    See ``ClaimedExperiment.claims``.
    """
    del config
    found = []
    for plain, projected in PAIRS:
        where = f"{projected} against {plain}"
        norms, angles = measured.norms, measured.angles
        paper = catalog.get(METHODS[projected], "transform").paper
        found += [
            Claim(
                "the invariant weights grow less",
                where,
                np.log(norms[plain][:, -1]) - np.log(norms[projected][:, -1]),
                paper=paper,
            ),
            Claim(
                "at the end a step turns the invariant weights more",
                where,
                np.log(angles[projected][:, -1]) - np.log(angles[plain][:, -1]),
                paper=paper,
            ),
            Claim(
                "the test accuracy is at least as high, within a point",
                where,
                measured.accuracy[projected] - measured.accuracy[plain],
                (-0.01, float("inf")),
                scale=100,
                unit=" %",
                paper=paper,
            ),
        ]
    held = measured.norms["adam, norms held"]
    paper = catalog.get(METHODS["adam, norms held"], "transform").paper
    gap = float(np.max(np.abs(held - 1)))
    text = f"largest relative change {gap:.1e}"
    said = exact("held norms stay", gap < 1e-5, text, "adam, norms held")
    found.append(said._replace(paper=paper))
    return found


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure; see ``Experiment.report``."""
    from experiments.studies.scale_invariance import figures

    rows = []
    for name in measured.norms:
        norm, angle = measured.norms[name][:, -1], measured.angles[name][:, -1]
        rows.append(
            (
                name,
                f"{norm.mean():.3f}",
                f"{angle.mean():.2e}",
                f"{100 * measured.accuracy[name].mean():.1f} %",
            )
        )
    table = Table(
        f"digits, {config.steps} steps, means over {config.seeds} seeds",
        ("optimizer", "norm over its start", "step over weights", "test accuracy"),
        rows,
    )
    drawn = {"norms": figures.curves(measured, config)}
    return Report({"measured": measured}, [table], drawn)
