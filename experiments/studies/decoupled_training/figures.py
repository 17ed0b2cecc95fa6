"""Accuracies of the arms, and losses by window."""

from __future__ import annotations

import math

import numpy as np

from experiments.harness import figures as style
from experiments.studies.decoupled_training.config import Config
from experiments.studies.decoupled_training.measure import Measured
from experiments.studies.decoupled_training.windows import SYNTHETIC, TRUNCATED


def panels(measured: Measured, config: Config) -> style.Figure:
    """Test accuracy of every arm; loss against the window, a point a seed."""
    figure, ((left, right),) = style.grid(1, 2, 9.5, 3.4)
    for i, values in enumerate(measured.accuracy.values()):
        spread = i + np.linspace(-0.2, 0.2, len(values))
        left.plot(100 * values, spread, "o", color=style.BLUE, markersize=3)
        left.plot([100 * values.mean()], [i], "|", color=style.ORANGE, markersize=16)
    left.set_yticks(range(len(measured.accuracy)), list(measured.accuracy))
    left.invert_yaxis()
    left.set_xlabel("test accuracy (%)")
    looks = {TRUNCATED: ("s", style.GREY, -0.1), SYNTHETIC: ("o", style.BLUE, 0.1)}
    for name, (marker, color, shift) in looks.items():
        for i, each in enumerate(measured.losses.values()):
            at = np.full(len(each[name]), i + shift)
            label = name if i == 0 else None
            right.plot(at, each[name], marker, color=color, markersize=4, label=label)
    right.axhline(math.log(config.symbols), color=style.GREY, linewidth=0.8)
    right.set_xticks(range(len(measured.losses)), list(measured.losses))
    right.set_xlabel("steps of a window (last: all)")
    right.set_ylabel("loss of the symbol (line: by chance)")
    for axes in (left, right):
        style.tidy(axes)
    right.legend(frameon=False)
    return figure
