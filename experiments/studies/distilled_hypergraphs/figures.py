"""Accuracy of teacher and students."""

from __future__ import annotations

import numpy as np

from experiments.harness import figures as style
from experiments.studies.distilled_hypergraphs.measure import Measured


def accuracy(measured: Measured) -> style.Figure:
    """A column of marks for each network, one line for each seed."""
    figure, ((axes,),) = style.grid(1, 1, 5.6, 3.6)
    names = list(measured.accuracy)
    values = 100 * np.stack([measured.accuracy[name] for name in names])
    axes.plot(range(len(names)), values, "-", color="0.8", linewidth=0.8)
    for i, own in enumerate(values):
        axes.plot(np.full(own.shape, i), own, "o", color=style.GREY, markersize=4)
        axes.plot([i - 0.15, i + 0.15], [own.mean()] * 2, "-", color=style.BLUE, lw=2.4)
    axes.set_xticks(range(len(names)), names)
    axes.set_ylabel("accuracy without labels, %")
    style.tidy(axes)
    return figure
