"""The claims about diversity, and their table."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report
from experiments.harness.verdicts import Claim
from experiments.studies import panels
from experiments.studies.ensembles.config import Config
from experiments.studies.ensembles.measure import MEASURES, Measured

_POINT = (-0.01, float("inf"))


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence, each against the weight 0.

    See ``ClaimedExperiment.claims``.
    """
    zero = config.gammas.index(0.0)
    small, wide = config.widths
    found = []
    for width, values in measured.values.items():
        accuracy, entropy, diversity, _ = (
            values[name].astype(np.float64) for name in MEASURES
        )
        for i, gamma in enumerate(config.gammas):
            where = f"width {width}, gamma {gamma:g}"
            gain = accuracy[i] - accuracy[zero]
            rise = entropy[i] - entropy[zero]
            more = diversity[i] - diversity[zero]
            percent = {"scale": 100, "unit": " %"}
            if gamma > 0:
                text = "the members differ more than those that are trained alone"
                found.append(Claim(text, where, more))
            if gamma > 0 and width == wide:
                text = "rewarded diversity costs accuracy of the mean prediction"
                found.append(Claim(text, where, -gain, **percent))
                text = "rewarded diversity raises the cross-entropy"
                found.append(Claim(text, where, rise))
            if gamma > 0 and width == small:
                text = "rewarded diversity costs no accuracy, within a point"
                found.append(Claim(text, where, gain, _POINT, **percent))
                text = "rewarded diversity lowers the cross-entropy"
                found.append(Claim(text, where, -rise))
            if gamma < 0 and width == wide:
                text = "punished diversity costs no accuracy, within a point"
                found.append(Claim(text, where, gain, _POINT, **percent))
                text = "punished diversity lowers the cross-entropy"
                found.append(Claim(text, where, -rise))
    return found


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure; see ``Experiment.report``."""
    columns = {
        name: {
            f"width {width}, gamma {gamma:g}": values[name][i]
            for width, values in measured.values.items()
            for i, gamma in enumerate(config.gammas)
        }
        for name in MEASURES
    }
    title = (
        f"{config.members} members, {config.train} noisy digits, means over "
        f"{config.seeds} seeds"
    )
    shown = {
        name: {f"width {w}": v[name] for w, v in measured.values.items()}
        for name in MEASURES[:3]
    }
    labels = ("gamma", "on the test")
    drawn = panels.lines(shown, config.gammas, labels)
    table = panels.arms_table(title, columns, "ensemble")
    return Report({"measured": measured}, [table], {"gammas": drawn})
