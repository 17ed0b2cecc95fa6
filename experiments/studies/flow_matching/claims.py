"""The claims about weighted flow matching, and their table."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies.flow_matching.config import Config
from experiments.studies.flow_matching.measure import CFM, FINE, Measured

_INF = float("inf")


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence, each against CFM on the same draws.

    See ``ClaimedExperiment.claims``.
    """
    found, few = [], str(config.few)
    for arm in measured.curvature:
        if arm == CFM:
            continue
        less = lambda values, arm=arm: np.log(values[CFM] / values[arm])
        straighter, cheaper = less(measured.curvature), less(measured.cost)
        of = lambda steps: {a: d[steps] for a, d in measured.distance.items()}
        found += [
            Claim("paths are straighter than those of cfm", arm, straighter),
            Claim("the transport costs less than that of cfm", arm, cheaper),
            Claim(
                f"after {few} Euler steps samples are nearer to the data than those of "
                "cfm",
                arm,
                less(of(few)),
            ),
            Claim(
                "after fine steps the distance from the data is at most "
                f"{config.slack:.0%} above that of cfm",
                arm,
                of(FINE)[arm] / of(FINE)[CFM] - 1,
                (-_INF, config.slack),
                scale=100,
                unit=" %",
            ),
        ]
    return found


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure; see ``Experiment.report``."""
    from experiments.studies.flow_matching import figures

    rows = [
        (
            arm,
            f"{measured.curvature[arm].mean():.3f}",
            f"{measured.cost[arm].mean():.3f}",
            *(f"{d.mean():.3f}" for d in distances.values()),
            f"{measured.share[arm].mean():.2f}",
        )
        for arm, distances in measured.distance.items()
    ]
    heads = "arm", "curvature", "cost over best"
    steps = [f"W2, {n} steps" for n in measured.distance[CFM]]
    title = f"ring of {config.modes}, means over {config.seeds} seeds"
    table = Table(title, (*heads, *steps, "share of pairs"), rows)
    drawn = {"flows": figures.panels(measured, config)}
    return Report({"measured": measured}, [table], drawn)
