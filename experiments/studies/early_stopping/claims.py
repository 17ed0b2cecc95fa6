"""The claims about early stopping, and their table."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim, exact
from experiments.studies.early_stopping.config import SAME, Config
from experiments.studies.early_stopping.measure import (
    ABE,
    BEST,
    VALIDATION,
    Measured,
)

_INF = float("inf")


def at(measured: Measured, name: str, rule: str) -> np.ndarray:
    """The errors on a target at the checkpoints of a rule.

    Args:
      measured: the measurements.
      name: the target.
      rule: the rule.

    Returns:
      ``(seeds,)``.
    """
    places = measured.chosen[name][rule][:, None]
    return np.take_along_axis(measured.errors[name], places, axis=1)[:, 0]


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence, target by target.

    See ``ClaimedExperiment.claims``.
    """
    found = []
    for name in measured.errors:
        plain, own, best = (at(measured, name, r) for r in (VALIDATION, ABE, BEST))
        moved = np.mean(measured.chosen[name][ABE] != measured.chosen[name][VALIDATION])
        lost = np.mean(np.log(plain / best))
        note = f"moved for {moved:.0%} of the seeds, the best would gain {lost:.3g}"
        if name == SAME:
            text = f"the error at ABE's checkpoint is at most {config.slack:.0%} above"
            found.append(
                Claim(
                    f"{text} that at the best validation",
                    name,
                    np.log(own / plain),
                    (-_INF, float(np.log1p(config.slack))),
                    evidence=note,
                )
            )
        else:
            text = "the error at ABE's checkpoint is below that at the best validation"
            found.append(Claim(text, name, np.log(plain / own), evidence=note))
    text = "the same checkpoints" if measured.still else "other checkpoints"
    said = "with an infinite threshold ABE is the validation"
    return [*found, exact(said, measured.still, text)]


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure; see ``Experiment.report``."""
    from experiments.studies.early_stopping import figures

    rows = [
        (
            name,
            rule,
            f"{config.every * (1 + np.mean(places)):.0f}",
            f"{at(measured, name, rule).mean():.3f}",
        )
        for name, rules in measured.chosen.items()
        for rule, places in rules.items()
    ]
    title = f"mean square errors after adaptation, means over {config.seeds} seeds"
    table = Table(title, ("inputs", "rule", "mean step", "error"), rows)
    drawn = {"errors": figures.curves(measured, config)}
    return Report({"measured": measured}, [table], drawn)
