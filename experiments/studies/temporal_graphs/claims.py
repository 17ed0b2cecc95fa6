"""The claims about batches of events, and their table."""

from __future__ import annotations

from itertools import pairwise

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies.temporal_graphs.config import Config
from experiments.studies.temporal_graphs.measure import ARMS, Measured

_INF = float("inf")


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence, for every batch and one four times as large.

    See ``ClaimedExperiment.claims``.
    """
    del config
    found = []
    percent = {"scale": 100, "unit": " %"}
    for small, large in pairwise(measured.precision):
        one, four = measured.precision[small], measured.precision[large]
        where = f"batches of {small} and {large}"
        text = "the larger batch costs precision without PRES"
        found.append(Claim(text, where, one["plain"] - four["plain"], **percent))
        text = "PRES at the larger is within a point of plain at the smaller"
        gap = four["PRES"] - one["plain"]
        found.append(Claim(text, where, gap, (-0.01, _INF), **percent))
        text = "PRES is above plain"
        gain = four["PRES"] - four["plain"]
        found.append(Claim(text, f"batches of {large}", gain, **percent))
    first = next(iter(measured.precision))
    above = measured.precision[first]["plain"] - measured.recency
    text = "the memory is above the time since somebody was seen"
    return [*found, Claim(text, f"batches of {first}", above, **percent)]


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure; see ``Experiment.report``."""
    from experiments.studies.temporal_graphs import figures

    rows = [
        (
            batch,
            arm,
            f"{100 * precision[arm].mean():.2f} %",
            f"{measured.gate[batch][arm].mean():.3f}",
        )
        for batch, precision in measured.precision.items()
        for arm in ARMS
    ]
    table = Table(
        f"next speakers, {config.epochs} epochs of {config.train} events, means over "
        f"{config.seeds} seeds; recency alone: {100 * measured.recency.mean():.2f} %",
        ("batch", "arm", "average precision", "gate"),
        rows,
    )
    drawn = {"precision": figures.precision(measured)}
    return Report({"measured": measured}, [table], drawn)
