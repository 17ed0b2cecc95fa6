"""Hypervolumes over measurements, fronts, and the points of both kinds of search."""

from __future__ import annotations

import numpy as np

from experiments.harness import figures as style
from experiments.studies.quantized_search.measure import Measured
from jaxopt_lab.search import nondominated_sort


def volumes(measured: Measured) -> style.Figure:
    """Three panels: SimQ-NAS over measurements, its fronts, points of QuantNAS."""
    figure, ((left, middle, right),) = style.grid(1, 3, 12.6, 3.8)
    looks = style.look_of([*measured.volume, *measured.points])
    for arm, volume in measured.volume.items():
        look, size = looks[arm], volume.shape[1]
        number = np.arange(1, size + 1)
        left.plot(number, volume.mean(0), label=arm, **look.line(size))
        scores = measured.front[arm]
        best = scores[nondominated_sort(scores) == 0]
        best = best[np.argsort(-best[:, 1])]
        line = look.line(len(best), len(best))
        middle.plot(
            2.0 ** -best[:, 1], 100 * best[:, 0], drawstyle="steps-post", **line
        )
    left.set_xlabel("measured sub-networks")
    left.set_ylabel("hypervolume, mean over seeds")
    left.legend(frameon=False, fontsize=8)
    middle.set_xlabel("bit operations")
    middle.set_title("fronts of one seed", fontsize="medium")
    for kind, points in measured.points.items():
        color, marker, _ = looks[kind]
        flat = points.reshape(-1, 2)
        look = {"color": color, "markersize": 4, "fillstyle": "none", "label": kind}
        right.plot(flat[:, 1], 100 * flat[:, 0], marker, **look)
    right.ticklabel_format(axis="x", style="sci", scilimits=(0, 0))
    right.set_xlabel("bit operations of the edges")
    right.legend(frameon=False, fontsize=8, title="search with")
    middle.set_xscale("log")
    for axes in (middle, right):
        axes.set_ylabel("test accuracy, %")
    for axes in (left, middle, right):
        style.tidy(axes)
    return figure
