"""The claims about wrong labels, and their table."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report
from experiments.harness.verdicts import Claim
from experiments.studies import panels
from experiments.studies.wrong_labels.config import Config
from experiments.studies.wrong_labels.measure import (
    DROPOUT,
    NESTED,
    PLAIN,
    SAM,
    TAUGHT,
    Measured,
)

_NESTED = "Chen et al. 2021, arXiv:2104.13766"
_SAM = "Foret et al. 2021, arXiv:2010.01412"


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence, seed by seed.

    See ``ClaimedExperiment.claims``.
    """
    del config
    accuracy = {n: x.astype(np.float64) for n, x in measured.accuracy.items()}
    pairs = (
        (NESTED, PLAIN, _NESTED),
        (NESTED, DROPOUT, _NESTED),
        (TAUGHT, NESTED, _NESTED),
        (SAM, PLAIN, _SAM),
    )
    found = [
        Claim(
            f"a higher test accuracy than {other}",
            arm,
            accuracy[arm] - accuracy[other],
            scale=100,
            unit=" %",
            paper=paper,
        )
        for arm, other, paper in pairs
    ]
    last = measured.prefixes[-1].astype(np.float64)
    text = "the number of features that the validation chose is better than all"
    gain = accuracy[NESTED] - last
    found.append(Claim(text, NESTED, gain, scale=100, unit=" %", paper=_NESTED))
    return found


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure; see ``Experiment.report``."""
    title = (
        f"{config.train} digits, {100 * config.wrong:g} % wrong labels, means over "
        f"{config.seeds} seeds; {np.mean(measured.kept):.1f} features kept"
    )
    table = panels.arms_table(title, {"test accuracy": measured.accuracy})
    places = np.arange(1, len(measured.prefixes) + 1).tolist()
    drawn = panels.lines(
        {"features kept": {NESTED: measured.prefixes}},
        places,
        ("first features that are kept", "test accuracy"),
    )
    dots = panels.dots({"test accuracy": measured.accuracy})
    return Report({"measured": measured}, [table], {"features": drawn, "arms": dots})
