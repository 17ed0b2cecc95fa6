"""The claims about quantized training, and their tables."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report
from experiments.harness.verdicts import Claim
from experiments.studies import panels
from experiments.studies.quantized_pretraining.config import Config
from experiments.studies.quantized_pretraining.measure import FLOAT, Measured

_INF = float("inf")
_CLOSE = ("w8a8", "m8, linear", "v8, dynamic")
_TRAINS = ("w4, by outputs", "a4, by tokens", "m4, linear")
_STALLS = ("g4, by tokens", "kernels' gradients, 4 bits", "v8, linear")


def excess(measured: Measured, arm: str) -> np.ndarray:
    """The loss of an arm over that of the float run, less 1, ``(seeds,)``."""
    return measured.losses[arm] / measured.losses[FLOAT] - 1


def progress(measured: Measured, arm: str) -> np.ndarray:
    """The fall of the loss over that of the float run, ``(seeds,)``.

    Args:
      measured: the measurements.
      arm: of them.

    Returns:
      From 0, also for a loss that rose or is not finite, to about 1.
    """
    whole = measured.start - measured.losses[FLOAT]
    share = (measured.start - measured.losses[arm]) / whole
    return np.maximum(np.nan_to_num(share, nan=0.0, neginf=0.0), 0.0)


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence; see ``ClaimedExperiment.claims``."""
    percent = {"scale": 100, "unit": " %"}
    outputs, tensors = "w4, by outputs", "w4, by tensors"
    there = measured.losses
    found = []
    for arm in filter(there.__contains__, _CLOSE):
        text = "held-out loss within 1 % of that without rounding"
        found.append(Claim(text, arm, excess(measured, arm), (-0.01, 0.01), **percent))
    if outputs in there:
        text = "held-out loss above that without rounding"
        found.append(Claim(text, outputs, excess(measured, outputs), **percent))
        text = "held-out loss above that with a step for each output"
        found.append(
            Claim(text, tensors, there[tensors] - there[outputs], unit=" nats")
        )
    share = f"{config.stalled:g} of the float run's progress"
    for arm in filter(there.__contains__, _TRAINS):
        values = progress(measured, arm)
        found.append(Claim(f"more than {share}", arm, values, (config.stalled, _INF)))
    for arm in filter(there.__contains__, _STALLS):
        values = progress(measured, arm)
        text = f"diverges or stalls: less than {share}"
        found.append(Claim(text, arm, values, (-_INF, config.stalled)))
    return found


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure; see ``Experiment.report``."""
    from experiments.studies.quantized_pretraining import figures

    measures = {
        "loss, nats": measured.losses,
        "over float, %": {n: 100 * excess(measured, n) for n in measured.losses},
        "progress": {n: progress(measured, n) for n in measured.losses},
    }
    table = panels.arms_table(
        f"Characters, {config.steps} steps, {config.seeds} seeds; "
        f"{measured.start.mean():.3f} nats before training",
        measures,
    )
    drawn = {"losses": figures.losses(measured, config)}
    return Report({"measured": measured}, [table], drawn)
