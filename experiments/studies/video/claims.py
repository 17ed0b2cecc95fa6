"""The claims about stored videos, and their table."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies.video.config import Config
from experiments.studies.video.measure import HNERV, NERV, Measured


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence; each holds for every budget.

    See ``ClaimedExperiment.claims``.
    """
    where = f"budgets of {' and '.join(map(str, config.budgets))} numbers"
    cost = {n: measured.trained[n] - measured.quantized[n] for n in (HNERV, NERV)}
    above = lambda x: x[HNERV] - x[NERV]
    return [
        Claim(
            "hnerv is nearer than nerv to the trained frames",
            where,
            above(measured.trained),
            unit=" dB",
        ),
        Claim(
            "hnerv is nearer than nerv to the frames between",
            where,
            above(measured.between),
            unit=" dB",
        ),
        Claim(
            f"quantization costs less than {config.loss:g} dB",
            f"hnerv, {where}",
            cost[HNERV],
            (-float("inf"), config.loss),
            unit=" dB",
        ),
    ]


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure; see ``Experiment.report``."""
    from experiments.studies.video import figures

    rows = [
        (
            name,
            str(budget),
            f"{np.mean(measured.size[name][i]):.0f}",
            *(
                f"{np.mean(x[name][i]):.2f}"
                for x in (measured.trained, measured.quantized, measured.between)
            ),
        )
        for name in (HNERV, NERV)
        for i, budget in enumerate(config.budgets)
    ]
    heads = "network", "numbers", "bytes", "trained (dB)", "quantized", "between"
    title = f"{config.steps} steps, means over {config.seeds} clips"
    table = Table(title, heads, rows)
    drawn = {"video": figures.curves(measured)}
    return Report({"measured": measured}, [table], drawn)
