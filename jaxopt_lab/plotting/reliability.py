"""Accuracy against confidence, of several calibrations side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.plotting.style import PALETTE, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class ReliabilityBins(NamedTuple):
    """Bins of the confidence; one number each.

    Attributes:
      confidence: mean confidence.
      accuracy: share of correct predictions.
      low: lower end of its interval.
      high: upper end of it.
      weight: number of examples; bins of 0 are not drawn.
    """

    confidence: ArrayLike
    accuracy: ArrayLike
    low: ArrayLike
    high: ArrayLike
    weight: ArrayLike


def reliability_diagram(bins: Mapping[str, ReliabilityBins], title: str = "") -> Figure:
    """A panel for each calibration: accuracy of the bins against their confidence.

    Args:
      bins: by name, the first one on the left.
      title: above the panels.

    Returns:
      The figure. The diagonal is perfect calibration; vertical lines are intervals;
      grey bars are the shares of the examples in each bin.

    Raises:
      InputError: there is nothing to draw.

    >>> one = ReliabilityBins([0.3, 0.9], [0.4, 0.8], [0.2, 0.7], [0.6, 0.9], [5, 20])
    >>> [axes.get_title("left") for axes in reliability_diagram({"none": one}).axes]
    ['none']
    """
    if not bins:
        raise InputError("no calibration to draw")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(0.4 + 2.9 * len(bins), 3.5), layout="constrained")
    panels = np.ravel(figure.subplots(1, len(bins), sharey=True, squeeze=False))
    for axes, (name, given) in zip(panels, bins.items(), strict=True):
        columns = (np.ravel(np.asarray(x, float)) for x in given)
        confidence, accuracy, low, high, weight = columns
        filled = weight > 0
        edges = np.linspace(0, 1, weight.size + 1)
        shares = weight / max(float(weight.sum()), 1e-300)
        axes.bar(
            (edges[1:] + edges[:-1]) / 2, shares, np.diff(edges), color="0.88", zorder=1
        )
        axes.plot([0, 1], [0, 1], "--", color="0.45", linewidth=1.0, zorder=2)
        axes.vlines(
            confidence[filled], low[filled], high[filled], color=PALETTE[0], zorder=3
        )
        look = {"color": PALETTE[0], "marker": "o", "markersize": 4.5, "zorder": 4}
        axes.plot(confidence[filled], accuracy[filled], **look)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_aspect("equal")
        axes.set_xlabel("confidence")
        axes.set_title(name, loc="left")
        plain(axes)
    panels[0].set_ylabel("accuracy")
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize="medium")
    return figure
