"""Norms and effective steps over training."""

from __future__ import annotations

import numpy as np

from experiments.harness import figures as style
from experiments.studies.scale_invariance.config import Config
from experiments.studies.scale_invariance.measure import Measured


def curves(measured: Measured, config: Config) -> style.Figure:
    """Two panels, a line for each optimizer, means over seeds."""
    figure, ((left, right),) = style.grid(1, 2, 9.0, 3.8)
    panels = (
        (left, measured.norms, "norm over its start"),
        (right, measured.angles, "length of a step over that of the weights"),
    )
    looks = style.look_of(list(measured.norms))
    for axes, values, label in panels:
        for name, rows in values.items():
            steps = config.every * np.arange(1, rows.shape[1] + 1)
            look = looks[name].line(len(steps), 6)
            axes.plot(steps, rows.mean(axis=0), label=name, **look)
        axes.set_xlabel("step")
        axes.set_ylabel(label)
        style.tidy(axes)
    right.set_yscale("log")
    left.legend(frameon=False)
    return figure
