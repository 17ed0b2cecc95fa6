"""The claims about noisy weights, and their table."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies.noisy_hardware.config import MEMSE, SAMSON, Config
from experiments.studies.noisy_hardware.measure import METHODS, Measured

_INF = float("inf")
_TENTH = float(np.log(1.1))


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence; see ``ClaimedExperiment.claims``."""
    found = []
    of = measured.accuracy
    percent = {"scale": 100, "unit": " %", "paper": SAMSON}
    for method in list(METHODS)[1:]:
        for i, sigma in enumerate(config.sigmas):
            if sigma < max(config.sigmas) / 2:
                continue
            gain = of[method][:, i] - of["momentum"][:, i]
            text = f"accuracy under noise of {sigma:g} is above that of momentum"
            found.append(Claim(text, method, gain, **percent))
    gain = of["samson"][:, -1] - of["sam"][:, -1]
    text = "accuracy under the largest noise is above that of SAM"
    found.append(Claim(text, "samson", gain, **percent))
    for method in METHODS:
        ratio = np.log(measured.predicted[method] / measured.simulated[method])
        text = "predicted over simulated error is within a tenth of 1, in logarithms"
        found.append(Claim(text, method, ratio, (-_TENTH, _TENTH), paper=MEMSE))
    for method in list(METHODS)[1:]:
        logs = [np.log(measured.predicted[m]) for m in ("momentum", method)]
        text = "MemSE predicts a smaller relative error than for momentum"
        found.append(Claim(text, method, logs[0] - logs[1], paper=MEMSE))
    return found


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure; see ``Experiment.report``."""
    from experiments.studies.noisy_hardware import figures

    rows = [
        (
            method,
            f"{measured.radius[method]:g}",
            *(f"{100 * share:.1f} %" for share in measured.accuracy[method].mean(0)),
            f"{measured.predicted[method].mean():.3g}",
            f"{measured.simulated[method].mean():.3g}",
        )
        for method in METHODS
    ]
    table = Table(
        "digits, accuracy under noise of the weights; relative error of the outputs at "
        f"device noise {config.device_noise:g}",
        (
            "method",
            "radius",
            *(f"sigma {sigma:g}" for sigma in config.sigmas),
            "error, MemSE",
            "simulated",
        ),
        rows,
    )
    drawn = {"noise": figures.noise(measured, config)}
    return Report({"measured": measured}, [table], drawn)
