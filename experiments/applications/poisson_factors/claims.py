"""The claims about Poisson factors, their table and figure."""

from __future__ import annotations

import numpy as np

from experiments.applications.poisson_factors.config import MODELS, Config, Measured
from experiments.harness.figures import BLUE, GREEN, OCHRE, ORANGE, VIOLET, grid, tidy
from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim

COLORS = (BLUE, ORANGE, GREEN, VIOLET, OCHRE)


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence, of every set."""
    found = []
    if config.models != MODELS:
        return found
    for i, name in enumerate(measured.sets):
        losses, forecasts = measured.losses[i], measured.forecasts[i]
        found += [
            Claim(
                "missing entries are more probable with dynamics than without",
                name,
                losses[:, 1] - losses[:, 0],
                unit=" nats",
            ),
            Claim(
                "forecasts with dynamics have a smaller absolute error than without",
                name,
                forecasts[:, 1] - forecasts[:, 0],
            ),
            Claim(
                "and a smaller one than the autoregression",
                name,
                forecasts[:, 2] - forecasts[:, 0],
            ),
            Claim(
                "fewer than half of the factors are active",
                name,
                measured.active[i] / config.factors,
                (-np.inf, 0.5),
                evidence=f"{measured.active[i].mean():.1f} of {config.factors}",
            ),
        ]
    return found


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure."""
    figure, ((left, middle, right),) = grid(1, 3, 11.5, 3.6)
    for k in range(min(len(COLORS), config.factors)):
        share = measured.shares[:, k]
        left.plot(
            1 + np.arange(len(share)), share, color=COLORS[k], label=f"factor {k + 1}"
        )
    left.set(
        xlabel="step", ylabel="events a step", title=f"factors of {measured.sets[0]}"
    )
    left.legend(frameon=False, fontsize=8)
    places = np.arange(len(measured.sets))
    names = (*config.models, "autoregression")
    for j, model in enumerate(names):
        look = {"width": 0.25, "color": COLORS[j], "label": model}
        if j < len(config.models):
            mean = measured.losses.mean(1)[:, j]
            middle.bar(places + 0.25 * j, mean, **look)
        right.bar(places + 0.25 * j, measured.forecasts.mean(1)[:, j], **look)
    middle.set(ylabel="nats an entry", title="missing entries")
    right.set(ylabel="mean absolute error", title=f"forecasts, {config.ahead} steps")
    for axes in (middle, right):
        axes.set_xticks(places + 0.25, measured.sets)
        axes.legend(frameon=False, fontsize=8)
    for axes in (left, middle, right):
        tidy(axes)
    rows = [
        (
            name,
            *(f"{x:.4f}" for x in measured.losses.mean(1)[i]),
            *(f"{x:.3f}" for x in measured.forecasts.mean(1)[i]),
            f"{measured.active.mean(1)[i]:.1f}",
        )
        for i, name in enumerate(measured.sets)
    ]
    headings = (
        "set",
        *(f"nats, {m}" for m in config.models),
        *(f"MAE, {m}" for m in names),
    )
    table = Table(
        f"{config.held_out:.0%} of the entries missing, {config.ahead} steps forecast, "
        f"{config.factors} factors, {config.steps} sweeps",
        (*headings, "active factors"),
        rows,
    )
    return Report({"measured": measured}, [table], {"factors": figure})
