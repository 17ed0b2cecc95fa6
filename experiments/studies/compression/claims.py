"""The claims about compression, and their table."""

from __future__ import annotations

import numpy as np

from experiments.harness import figures as style
from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies.compression import config as papers
from experiments.studies.compression.config import Config
from experiments.studies.compression.measure import (
    EVERY,
    MAESTRO,
    MERGED,
    PRUNED,
    SMALL,
    SORTED,
    UNITS,
    VALUES,
    Measured,
)


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence, means over the budgets below half of the bytes.

    See ``ClaimedExperiment.claims``.
    """
    below = [i for i, b in enumerate(config.budgets) if b < 0.5]
    of = {
        name: values[below].mean(axis=0) for name, values in measured.accuracy.items()
    }
    pairs = (
        (MAESTRO, VALUES, papers.MAESTRO),
        (EVERY, VALUES, papers.MAESTRO),
        (SORTED, UNITS, papers.SORTEDNET),
        (MERGED, PRUNED, papers.MCSMOE),
    )
    found = [
        Claim(
            f"more accurate at equal bytes, below a half, than {other}",
            name,
            of[name] - of[other],
            scale=100,
            unit=" %",
            paper=paper,
        )
        for name, other, paper in pairs
    ]
    share = measured.accuracy[SORTED] / measured.accuracy[SMALL]
    text = f"above {config.least:g} of the accuracy of networks trained by themselves"
    values = share.mean(axis=0)
    accepted = config.least, float("inf")
    found.append(Claim(text, SORTED, values, accepted, paper=papers.SORTEDNET))
    return found


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure; see ``Experiment.report``."""
    from experiments.studies import panels

    percent = lambda x: f"{100 * np.mean(x):.1f} %"
    rows = [(n, *map(percent, values)) for n, values in measured.accuracy.items()]
    whole = ", ".join(f"{n} {percent(x)}" for n, x in measured.whole.items())
    table = Table(
        f"digits, test accuracy by share of the bytes, {config.seeds} seeds; "
        f"uncompressed: {whole}",
        ("method", *(f"{b:g}" for b in config.budgets)),
        rows,
    )
    scaled = {n: 100 * values for n, values in measured.accuracy.items()}
    shares = [100 * b for b in config.budgets]
    labels = "bytes over those of the dense network, %", "test accuracy, %"
    figure = panels.lines({"": scaled}, shares, labels, ("log", "linear"))
    (axes,) = figure.axes
    if (legend := axes.get_legend()) is not None:
        legend.remove()
    style.legend_right(figure, axes)
    return Report({"measured": measured}, [table], {"accuracy": figure})
