"""The claims about predictors, and their table."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies.predictors.config import Config
from experiments.studies.predictors.measure import LEARNED, PREDICTORS, Measured


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence; see ``ClaimedExperiment.claims``.

    Returns:
      The claims about both predictors of text, space by space.
    """
    del config
    found = []
    for name, taus in measured.zero_shot.items():
        for predictor in LEARNED:
            where = f"{name}, {predictor}"
            own = taus[predictor]
            scalars = np.stack([taus[p] for p in PREDICTORS[2:]])
            best = scalars[np.argmax(scalars.mean(axis=1))]
            text = "zero-shot tau is above 0"
            found.append(Claim(text, where, own))
            text = "zero-shot tau is above that of the better count"
            found.append(Claim(text, where, own - best))
            text = "tau within the space is above 0"
            found.append(Claim(text, where, measured.within[name][predictor]))
    return found


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure; see ``Experiment.report``."""
    from experiments.studies.predictors import figures

    rows = [
        (
            name,
            p,
            f"{measured.within[name][p].mean():+.3f}",
            f"{measured.zero_shot[name][p].mean():+.3f}",
        )
        for name in measured.zero_shot
        for p in PREDICTORS
    ]
    table = Table(
        f"{config.networks} networks a space, means over {config.seeds} benches",
        ("space", "predictor", "tau within", "tau zero-shot"),
        rows,
    )
    drawn = {"taus": figures.taus(measured)}
    return Report({"measured": measured}, [table], drawn)
