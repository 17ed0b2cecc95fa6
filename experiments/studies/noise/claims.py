"""The claims about gradient noise, and their table."""

from __future__ import annotations

from experiments.harness.report import Report
from experiments.harness.verdicts import Claim
from experiments.studies import scores
from experiments.studies.noise.config import Config
from experiments.studies.noise.measure import STARTS, Measured
from experiments.studies.panels import dots

_NONE = "no noise"
_LOSS = 0.01


def chosen(measured: Measured, config: Config) -> scores.Panels:
    """Every arm at the rate that it chose, by start.

    Args:
      measured: the measurements.
      config: the size of the study.

    Returns:
      Test accuracies.
    """
    arms = (_NONE, *(f"noise {eta:g}" for eta in config.etas))
    return {
        where: {
            arm: scores.score(measured.accuracy[:, i, j].T, config.rates)
            for j, arm in enumerate(arms)
        }
        for i, where in enumerate(STARTS)
    }


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence: from good weights, noise is to do no harm.

    See ``ClaimedExperiment.claims``.
    """
    found = []
    for where, by in chosen(measured, config).items():
        for arm in by:
            if arm == _NONE:
                continue
            means = (100 * by[name].values.mean() for name in (arm, _NONE))
            text = "{:.1f} % against {:.1f} %".format(*means)
            claim = scores.better(where, by, arm, _NONE)
            claim = claim._replace(scale=100, unit=" %", evidence=text)
            if where == STARTS[-1]:
                within = f"{arm} at most a point below {_NONE}"
                claim = claim._replace(text=within, accepted=(-_LOSS, float("inf")))
            found.append(claim)
    return found


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure; see ``Experiment.report``."""
    panels = chosen(measured, config)
    table = scores.table(panels, "test accuracy, %", scale=100)
    values = {p: {n: s.values for n, s in by.items()} for p, by in panels.items()}
    drawn = {"accuracy": dots(values, label="test accuracy, %", scale=100)}
    return Report({"measured": measured}, [table], drawn)
