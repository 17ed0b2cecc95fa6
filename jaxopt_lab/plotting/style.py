"""Style shared by all figures: colours and plain axes."""

from __future__ import annotations

import math
from typing import Any

PALETTE = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#8a6d00",
    "#56b4e9",
    "#4d4d4d",
)
"""Colours that the colour-blind can tell apart (after Okabe and Ito), each dark enough
for a thin line on white."""

DASHES = ("-", "--", "-.", ":")
"""Line styles, so that a print in grey can be read too."""


def plain(axes: Any) -> None:
    """Remove the box around the axes and draw a faint grid.

    Args:
      axes: of matplotlib.
    """
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def round_numbers(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten in a range; in a wide one only the powers.

    Args:
      low: the lower end, above 0.
      high: the upper end.

    Returns:
      The numbers, in order; the ends themselves where none is between them.

    >>> round_numbers(0.3, 12.0)
    [0.5, 1.0, 2.0, 5.0, 10.0]
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if len(powers) <= 4 else (1,)
    # Parsed from text, so that 2e-1 is exactly 0.2.
    numbers = [float(f"{f}e{p}") for p in powers for f in factors]
    return [n for n in numbers if low <= n <= high] or [low, high]


def round_log_ticks(axis: Any) -> None:
    """Put plain round numbers on a logarithmic axis that spans few powers of ten.

    Args:
      axis: ``axes.xaxis`` or ``axes.yaxis`` of matplotlib, all lines drawn.
    """
    low, high = sorted(axis.get_view_interval())
    if low > 0 and high / low < 1e4:
        axis.set_ticks(ticks := round_numbers(low, high))
        axis.set_ticklabels([f"{t:g}" for t in ticks])
        axis.set_minor_formatter(lambda value, place: "")


POINT: dict[str, Any] = {
    "marker": "*",
    "markersize": 11,
    "markerfacecolor": "#d55e00",
    "markeredgecolor": "white",
    "markeredgewidth": 0.9,
    "linestyle": "none",
}
"""The mark of the trained point."""
