"""The claims about ordinal labels, and their table."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report
from experiments.harness.verdicts import Claim
from experiments.studies import panels
from experiments.studies.ordinal.config import Config
from experiments.studies.ordinal.measure import L1, SUPCON, SUPREMIX, Measured
from experiments.studies.ordinal.qualities import FIDELITY, HARD, SOFT

_SUPREMIX = "Wu et al. 2023, arXiv:2309.16633"
_DEQA = "You et al. 2025, DeQA-Score, arXiv:2501.11561"


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence, seed by seed.

    See ``ClaimedExperiment.claims``.
    """
    del config
    gain = lambda arms, a, b: arms[a].astype(np.float64) - arms[b]
    found = []
    for other in (L1, SUPCON):
        text = f"a smaller error of the angle than {other}"
        fall = gain(measured.error, other, SUPREMIX)
        found.append(Claim(text, SUPREMIX, fall, unit=" degrees", paper=_SUPREMIX))
        text = f"distances follow those of labels better than {other}"
        more = gain(measured.order, SUPREMIX, other)
        found.append(Claim(text, SUPREMIX, more, paper=_SUPREMIX))
    for arm, other in ((SOFT, HARD), (FIDELITY, SOFT)):
        for name, values in (
            ("rank correlation", measured.quality),
            ("correlation", measured.linear),
        ):
            text = f"a higher {name} with the true quality than {other}"
            more = gain(values, arm, other)
            found.append(Claim(text, arm, more, paper=_DEQA))
    text = "the predicted deviation follows that of the votes"
    found.append(Claim(text, SOFT, measured.spread[SOFT], paper=_DEQA))
    return found


def report(measured: Measured, config: Config) -> Report:
    """Numbers, tables and figures; see ``Experiment.report``."""
    angles = {
        "error of the angle, degrees": measured.error,
        "rank correlation of distances": measured.order,
    }
    levels = {
        "rank correlation with quality": measured.quality,
        "correlation": measured.linear,
        "correlation of deviations": measured.spread,
    }
    ending = f"{config.steps} steps, means over {config.seeds} seeds"
    tables = [
        panels.arms_table(f"angles of digits, {ending}", angles),
        panels.arms_table(f"levels of quality, {ending}", levels),
    ]
    drawn = {"angles": panels.dots(angles), "levels": panels.dots(levels)}
    return Report({"measured": measured}, tables, drawn)
