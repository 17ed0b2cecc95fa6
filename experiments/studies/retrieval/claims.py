"""The claims about retrieval, and their table."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report
from experiments.harness.verdicts import Claim
from experiments.studies import panels
from experiments.studies.retrieval.config import Config
from experiments.studies.retrieval.measure import (
    ONE,
    OPIS,
    RANKED,
    RECALL,
    SEVERAL,
    SPEARMAN,
    Measured,
    proxies,
)

_TCM = "Zhang et al. 2023, arXiv:2307.04047"
_CODIEMB = "Zhang et al. 2025, arXiv:2508.11442"
_POINT = (-0.01, float("inf"))
_PERCENT = {"scale": 100, "unit": " %"}


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence, seed by seed.

    See ``ClaimedExperiment.claims``.
    """

    def gain(name: str, arm: str, other: str) -> np.ndarray:
        values = measured.values[name]
        return values[arm].astype(np.float64) - values[other]

    found = []
    for weight in config.weights:
        if not weight:
            continue
        arm, plain = proxies(weight), proxies(0.0)
        text = "less inconsistent operating points than without the margins"
        found.append(Claim(text, arm, gain(OPIS, plain, arm), paper=_TCM))
        text = "the recall is that without the margins or more, within a point"
        fall = gain(RECALL, arm, plain)
        found.append(Claim(text, arm, fall, _POINT, paper=_TCM, **_PERCENT))
    text = "a higher recall than with one positive and as many images"
    more = gain(RECALL, SEVERAL, ONE)
    found.append(Claim(text, SEVERAL, more, paper=_CODIEMB, **_PERCENT))
    text = "similarities follow the shares of mixtures better than without ranks"
    more = gain(SPEARMAN, RANKED, SEVERAL)
    found.append(Claim(text, RANKED, more, paper=_CODIEMB))
    text = "the recall is that without ranks or more, within a point"
    fall = gain(RECALL, RANKED, SEVERAL)
    found.append(Claim(text, RANKED, fall, _POINT, paper=_CODIEMB, **_PERCENT))
    return found


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure; see ``Experiment.report``."""
    title = (
        f"{config.tested} digits of classes that were not seen, {config.steps} steps, "
        f"means over {config.seeds} seeds"
    )
    table = panels.arms_table(title, measured.values, "loss")
    drawn = panels.dots(measured.values)
    return Report({"measured": measured}, [table], {"retrieval": drawn})
