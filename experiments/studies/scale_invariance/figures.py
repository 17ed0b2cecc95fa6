"""Norms and effective steps over training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from experiments.harness import figures as style
from experiments.studies.scale_invariance.config import Config
from experiments.studies.scale_invariance.measure import Measured

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLORS = (style.BLUE, style.ORANGE, style.GREEN, style.VIOLET, style.OCHRE)


def curves(measured: Measured, config: Config) -> Figure:
    """Two panels, a line for each optimizer, means over seeds.

    Args:
      measured: the measurements.
      config: the size of the study.

    Returns:
      The figure.
    """
    figure, ((left, right),) = style.grid(1, 2, 9.0, 3.8)
    panels = (
        (left, measured.norms, "norm over its start"),
        (right, measured.angles, "length of a step over that of the weights"),
    )
    for axes, values, label in panels:
        for (name, rows), color in zip(values.items(), _COLORS, strict=True):
            steps = config.every * np.arange(1, rows.shape[1] + 1)
            axes.plot(steps, rows.mean(axis=0), color=color, label=name)
        axes.set_yscale("log")
        axes.set_xlabel("step")
        axes.set_ylabel(label)
        style.tidy(axes)
    left.legend(frameon=False)
    return figure
