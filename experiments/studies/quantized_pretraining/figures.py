"""Losses of the training, and of held-out text, by what is rounded."""

from __future__ import annotations

import numpy as np

from experiments.harness import figures as style
from experiments.studies.quantized_pretraining.config import Config
from experiments.studies.quantized_pretraining.measure import FLOAT, Measured
from jaxopt_lab.lab.statistics import mean_interval

_DRAWN = (
    FLOAT,
    "w8a8",
    "w4, by outputs",
    "a4, by tokens",
    "g4, by tokens",
    "v8, linear",
    "v8, dynamic",
)


def losses(measured: Measured, config: Config) -> style.Figure:
    """Training losses of some arms, and held-out losses of all over that in floats.

    Args:
      measured: the measurements.
      config: the size of the study.

    Returns:
      The figure; losses above that of the start are drawn at it.
    """
    figure, ((left, right),) = style.grid(1, 2, 10.5, 4.4)
    top = float(measured.start.mean())
    looks = style.look_of(list(measured.losses))
    for arm in filter(measured.losses.__contains__, _DRAWN):
        curve = np.nan_to_num(measured.curves[arm], nan=np.inf).mean(axis=1)
        steps = (np.arange(len(curve)) + 0.5) * config.steps / len(curve)
        look = looks[arm].line(len(curve), 5)
        left.plot(steps, np.minimum(curve, top), label=arm, **look)
    left.set_xlabel("step")
    left.set_ylabel("training loss, nats")
    left.legend(frameon=False, fontsize=8)
    names = list(measured.losses)
    for i, name in enumerate(names):
        # A loss that is not finite is drawn at that of the start.
        found = np.nan_to_num(measured.losses[name], nan=top, posinf=top)
        mean, half = mean_interval(100 * (found / measured.losses[FLOAT] - 1))
        right.errorbar(mean, i, xerr=half, fmt="o", color=style.BLUE, capsize=3)
    right.set_xscale("symlog", linthresh=0.1)
    right.axvline(0, color="0.5", linewidth=0.9)
    right.set_yticks(range(len(names)), names)
    right.set_ylim(len(names) - 0.5, -0.5)
    right.set_xlabel("held-out loss over that in floats, %")
    for axes in (left, right):
        style.tidy(axes)
    return figure
