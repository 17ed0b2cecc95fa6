"""The claims about EMO, and their table."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report
from experiments.harness.verdicts import Claim
from experiments.studies import panels
from experiments.studies.language_losses.config import Config
from experiments.studies.language_losses.measure import PLAIN, Measured

_TWO_PER_CENT = (-float("inf"), 2.0)


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence, seed by seed, each against cross-entropy.

    See ``ClaimedExperiment.claims``.
    """
    del config
    found = []
    wide = {
        name: {arm: values.astype(np.float64) for arm, values in arms.items()}
        for name, arms in measured._asdict().items()
    }
    for arm in measured.entropy:
        if arm == PLAIN:
            continue
        fall = lambda name, arm=arm: wide[name][PLAIN] - wide[name][arm]
        rise = wide["entropy"][arm] / wide["entropy"][PLAIN] - 1
        found += [
            Claim(
                "3-grams of samples are nearer to those of the text", arm, fall("apart")
            ),
            Claim(
                "the cross-entropy of held-out text is at most 2 % higher",
                arm,
                100 * rise,
                _TWO_PER_CENT,
                unit=" %",
            ),
            Claim("the earth mover's distance is lower", arm, fall("distance")),
        ]
    return found


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure; see ``Experiment.report``."""
    labels = {
        "cross-entropy": measured.entropy,
        "earth mover's distance": measured.distance,
        "3-grams from the text's": measured.apart,
        "share of distinct 3-grams": measured.distinct,
    }
    title = (
        f"{config.steps} steps after {config.warm} with cross-entropy, means over "
        f"{config.seeds} seeds"
    )
    table = panels.arms_table(title, labels, "loss")
    return Report({"measured": measured}, [table], {"losses": panels.dots(labels)})
