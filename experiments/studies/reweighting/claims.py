"""The claims about weights by losses, and their table."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report
from experiments.harness.verdicts import Claim
from experiments.studies import scores
from experiments.studies.panels import dots
from experiments.studies.reweighting.config import Config
from experiments.studies.reweighting.measure import PANELS, STRATEGIES, Measured


def chosen(measured: Measured, config: Config) -> scores.Panels:
    """Every strategy at the rate that it chose, by panel.

    Args:
      measured: the measurements.
      config: the size of the study.

    Returns:
      Test accuracies.
    """
    return {
        panel: {
            name: scores.score(measured.accuracy[name][:, i].T, config.rates)
            for name in STRATEGIES
        }
        for i, panel in enumerate(PANELS)
    }


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence, panel by panel.

    See ``ClaimedExperiment.claims``.
    """
    found = []
    for panel, by in chosen(measured, config).items():
        pairs = [(name, "uniform") for name in STRATEGIES[1:]]
        for winner, other in (*pairs, ("linupper", "extremes")):
            claim = scores.better(panel, by, winner, other)
            found.append(claim._replace(scale=100, unit=" %"))
    repeated, wrong = chosen(measured, config).values()
    cases = (
        ("linupper", repeated["linupper"].rate, 0, "copies weigh less than uniformly"),
        ("quadratic", wrong["quadratic"].rate, 1, "wrong labels weigh less"),
    )
    for name, rate, i, text in cases:
        share = measured.share[name][:, i, config.rates.index(rate)]
        half = len(share) // 2
        found.append(Claim(f"{name}: {text}", PANELS[i], -np.log(share[half:])))
    return found


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure; see ``Experiment.report``."""
    panels = chosen(measured, config)
    table = scores.table(panels, "test accuracy, %", scale=100)
    values = {p: {n: s.values for n, s in by.items()} for p, by in panels.items()}
    drawn = {"accuracy": dots(values, label="test accuracy, %", scale=100)}
    return Report({"measured": measured}, [table], drawn)
