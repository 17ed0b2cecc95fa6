"""Hypervolumes over measurements, and the points of both kinds of search."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from experiments.harness import figures as style
from experiments.studies.quantized_search.measure import Measured

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def volumes(measured: Measured) -> Figure:
    """Two panels: SimQ-NAS over measurements, points of QuantNAS.

    Args:
      measured: the measurements.

    Returns:
      The figure.
    """
    figure, ((left, right),) = style.grid(1, 2, 9.0, 3.8)
    looks = style.look_of([*measured.volume, *measured.points])
    for arm, volume in measured.volume.items():
        number = np.arange(1, volume.shape[1] + 1)
        color, _, line = looks[arm]
        left.plot(number, volume.mean(0), color=color, linestyle=line, label=arm)
    left.set_xlabel("measured sub-networks")
    left.set_ylabel("hypervolume")
    left.legend(frameon=False, fontsize=8)
    for kind, points in measured.points.items():
        color, marker, _ = looks[kind]
        flat = points.reshape(-1, 2)
        x, y = 1 + flat[:, 1], 100 * flat[:, 0]
        look = {"color": color, "markersize": 4, "fillstyle": "none", "label": kind}
        right.plot(x, y, marker, **look)
    right.set_xscale("log")
    right.set_xlabel("1 + bit operations of the edges")
    right.set_ylabel("test accuracy, %")
    right.legend(frameon=False, fontsize=8, title="search with")
    for axes in (left, right):
        style.tidy(axes)
    return figure
