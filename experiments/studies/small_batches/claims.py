"""The claims about small batches, and their table."""

from __future__ import annotations

from experiments.harness.report import Report
from experiments.harness.verdicts import Claim
from experiments.studies import scores
from experiments.studies.panels import dots
from experiments.studies.small_batches import config as papers
from experiments.studies.small_batches.config import Config
from experiments.studies.small_batches.measure import (
    B0,
    BCN,
    BN,
    GN,
    S0,
    Measured,
)

_PAPERS = {GN: papers.GROUPS, BCN: papers.BCN, B0: papers.EVONORM, S0: papers.EVONORM}


def chosen(measured: Measured, config: Config) -> scores.Panels:
    """Every arm at the rate that it chose, by batch.

    Args:
      measured: the measurements.
      config: the size of the study.

    Returns:
      Test accuracies.
    """
    return {
        f"batch {batch}": {
            arm: scores.score(values.T, config.rates) for arm, values in by.items()
        }
        for batch, by in measured.accuracy.items()
    }


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence; see ``ClaimedExperiment.claims``."""
    panels = chosen(measured, config)
    names = list(panels)
    least, most = names[0], names[-1]
    lost = {
        arm: panels[most][arm].values - panels[least][arm].values for arm in config.arms
    }
    percent = {"scale": 100, "unit": " %"}
    where = f"{least} against {most}"
    text = "BN loses accuracy at the small batch"
    found = [Claim(text, where, lost[BN], paper=papers.GROUPS, **percent)]
    for arm in config.arms[1:]:
        text, less = f"{arm} loses less than BN", lost[BN] - lost[arm]
        found.append(Claim(text, where, less, paper=_PAPERS[arm], **percent))
    for where, winner, other in (
        (least, BCN, GN),
        (least, S0, GN),
        (most, S0, GN),
        (most, B0, BN),
    ):
        if not {winner, other} <= set(config.arms):
            continue
        claim = scores.better(where, panels[where], winner, other)
        found.append(claim._replace(paper=_PAPERS[winner], **percent))
    return found


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure; see ``Experiment.report``."""
    panels = chosen(measured, config)
    table = scores.table(panels, "test accuracy, %", scale=100)
    values = {p: {n: s.values for n, s in by.items()} for p, by in panels.items()}
    drawn = {"accuracy": dots(values, label="test accuracy, %", scale=100)}
    return Report({"measured": measured}, [table], drawn)
