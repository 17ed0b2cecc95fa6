"""The claims about statistics under shift, and their table."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies.panels import dots
from experiments.studies.shift import config as papers
from experiments.studies.shift.config import Config
from experiments.studies.shift.measure import (
    ALPHA,
    ARMS,
    SHUFFLED,
    SORTED,
    SOURCE,
    STREAMS,
    TEST,
    UNMIX,
    Measured,
)

_PAIRS = (
    (SHUFFLED, TEST, SOURCE, papers.ALPHA),
    (SHUFFLED, ALPHA, SOURCE, papers.ALPHA),
    (SORTED, SOURCE, TEST, papers.UNMIX),
    (SORTED, ALPHA, SOURCE, papers.ALPHA),
    (SORTED, UNMIX, SOURCE, papers.UNMIX),
    (SORTED, UNMIX, TEST, papers.UNMIX),
    (SORTED, UNMIX, ALPHA, papers.UNMIX),
)
_POINT = (-0.01, float("inf"))


def panels(accuracy: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Means over the corruptions of one set, by stream and arm, ``(seeds,)``."""
    return {
        name: {arm: accuracy[arm][:, i].mean(axis=-1) for arm in ARMS}
        for i, name in enumerate(STREAMS)
    }


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence, of means over the corruptions.

    See ``ClaimedExperiment.claims``.
    """
    del config
    each = measured.accuracy.items()
    return [claim for name, own in each for claim in _of_set(name, panels(own))]


def _of_set(name: str, by: Mapping[str, Mapping[str, np.ndarray]]) -> list[Claim]:
    percent = {"scale": 100, "unit": " %"}
    found = [
        Claim(
            f"statistics: {winner} better than {other}",
            f"{name}, {where}",
            by[where][winner] - by[where][other],
            paper=paper,
            **percent,
        )
        for where, winner, other, paper in _PAIRS
    ]
    gain = by[SHUFFLED][UNMIX] - by[SHUFFLED][TEST]
    text = f"statistics: {UNMIX} at most a point below {TEST}"
    told = Claim(
        text, f"{name}, {SHUFFLED}", gain, _POINT, paper=papers.UNMIX, **percent
    )
    return [*found, told]


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure; see ``Experiment.report``."""
    tables, drawn = [], {}
    for name, own in measured.accuracy.items():
        rows = [
            (
                stream,
                corruption,
                *(f"{100 * own[arm][:, i, j].mean():.1f}" for arm in ARMS),
            )
            for i, stream in enumerate(STREAMS)
            for j, corruption in enumerate(config.corruptions)
        ]
        clean = f"{100 * measured.clean[name].mean():.1f} % on clean images"
        title = f"{name}: accuracy, %, at severity {config.severity}; {clean}"
        tables.append(Table(title, ("stream", "corruption", *ARMS), rows))
        label = "accuracy, %, mean over corruptions"
        drawn[name] = dots(panels(own), label=label, scale=100)
    return Report({"measured": measured}, tables, drawn)
