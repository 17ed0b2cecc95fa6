"""Errors and accuracy over bits."""

from __future__ import annotations

import numpy as np

from experiments.harness import figures as style
from experiments.studies.post_training.measure import METHODS, Measured


def errors(measured: Measured) -> style.Figure:
    """Two panels, a line for each method, means over seeds."""
    figure, ((left, right),) = style.grid(1, 2, 9.0, 3.8)
    every = [int(b) for b in measured.error]
    for method, (color, marker, line) in style.look_of(list(METHODS)).items():
        look = {"color": color, "marker": marker, "linestyle": line, "markersize": 4}
        bits = [b for b in every if method in measured.error[str(b)]]
        logs = [np.log(measured.error[str(b)][method]).mean() for b in bits]
        left.plot(bits, np.exp(logs), label=method, **look)
        shares = [100 * measured.accuracy[str(b)][method].mean() for b in bits]
        right.plot(bits, shares, **look)
    right.axhline(100 * measured.before.mean(), color="0.5", linewidth=0.9)
    left.set_yscale("log")
    left.set_ylabel("relative squared error of outputs")
    right.set_ylabel("test accuracy, %")
    for axes in (left, right):
        axes.set_xlabel("bits of a weight")
        axes.set_xticks(every)
        style.tidy(axes)
    left.legend(frameon=False, fontsize=8)
    return figure
