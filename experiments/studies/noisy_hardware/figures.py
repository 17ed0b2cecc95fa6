"""Accuracy over noise, and predicted against simulated errors."""

from __future__ import annotations

from experiments.harness import figures as style
from experiments.studies.noisy_hardware.config import Config
from experiments.studies.noisy_hardware.measure import METHODS, Measured


def noise(measured: Measured, config: Config) -> style.Figure:
    """Two panels, a look for each method."""
    figure, ((left, right),) = style.grid(1, 2, 9.0, 3.8)
    ends = []
    for method, (color, marker, line) in style.look_of(list(METHODS)).items():
        look = {"color": color, "marker": marker, "markersize": 4}
        mean = 100 * measured.accuracy[method].mean(axis=0)
        left.plot(config.sigmas, mean, linestyle=line, label=method, **look)
        x, y = measured.simulated[method], measured.predicted[method]
        right.plot(x, y, linestyle="", **look)
        ends += [x.min(), x.max()]
    right.plot([min(ends), max(ends)], [min(ends), max(ends)], color="0.6", lw=0.9)
    left.set_xlabel("noise over the largest weight")
    left.set_xticks(config.sigmas)
    left.set_ylabel("test accuracy, %")
    right.set_xlabel("simulated relative error of outputs")
    right.set_ylabel("MemSE's prediction")
    left.legend(frameon=False, fontsize=8)
    for axes in (left, right):
        style.tidy(axes)
    return figure
