"""Style shared by all figures: colours, markers, legends and plain axes."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from jaxopt_lab.plotting.method_order import METHODS

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


MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
"""Markers; the numbers of colours, dashes and markers have no common factor, so that a
look repeats after their product, 252."""


class Look(NamedTuple):
    """Appearance of one method's line: colour, marker and dashes tell it apart.

    Attributes:
      color: of the palette.
      marker: of matplotlib.
      dash: line style.
    """

    color: str
    marker: str
    dash: str

    def line(self, points: int = 1, shown: int = 8) -> dict[str, Any]:
        """Arguments of ``axes.plot`` for a line with a few markers.

        Args:
          points: number of points of the line.
          shown: about as many of them get a marker.
        """
        return {
            "color": self.color,
            "linestyle": self.dash,
            "marker": self.marker,
            "markersize": 4.5,
            "markevery": max(1, points // shown),
        }


def looks(names: Sequence[str], order: Sequence[str] = ()) -> dict[str, Look]:
    """A look for each name, the same one in every figure.

    Args:
      names: of methods or rows, each in one figure. Those in ``METHODS`` have the look
        of their place there, whatever the figure.
      order: further methods; their place in it decides the look. That of other names
        comes from a checksum; of two alike the later one gets another.

    Returns:
      Looks by name.

    >>> one = looks(["sam", "adam"])["adam"]
    >>> one == looks(["adam", "lion"], ["lion", "adam"])["adam"]
    True
    """
    places = {name: i for i, name in enumerate(dict.fromkeys((*METHODS, *order)))}
    count = math.lcm(len(PALETTE), len(MARKERS), len(DASHES))
    found = {name: _look(places[name]) for name in names if name in places}
    for name in names:
        if name in found:
            continue
        start = zlib.crc32(name.encode()) % count
        free = [_look((start + i) % count) for i in range(count)]
        free = [look for look in free if look not in found.values()] or free
        colors = {look.color for look in found.values()}
        # Another colour, as long as there is one; else another marker.
        other = (look for look in free if look.color not in colors)
        found[name] = next(other, free[0])
    return {name: found[name] for name in names}


def _look(index: int) -> Look:
    return Look(
        PALETTE[index % len(PALETTE)],
        MARKERS[index % len(MARKERS)],
        DASHES[index % len(DASHES)],
    )


_LETTER, _HANDLE, _ROW = 0.078, 0.75, 0.22  # inches, at the default size of text


def legend_below(figure: Any, axes: Any) -> None:
    """One legend for all axes of a figure, below them and within the page.

    Args:
      figure: with the layout ``"constrained"``; it grows by the rows of the legend.
      axes: those whose lines have labels.
    """
    handles, labels = axes.get_legend_handles_labels()
    if not labels:
        return
    width, height = figure.get_size_inches()
    entry = _HANDLE + _LETTER * max(map(len, labels))
    columns = max(1, min(len(labels), int((width - 0.2) // entry)))
    rows = -(-len(labels) // columns)
    figure.set_size_inches(max(width, entry + 0.2), height + _ROW * (rows - 1))
    place = "outside lower center"
    figure.legend(handles, labels, loc=place, ncols=columns, frameon=False)


def legend_right(figure: Any, axes: Any) -> None:
    """One legend to the right of the axes and within the page.

    Args:
      figure: with the layout ``"constrained"``; it gets as high as the legend.
      axes: those whose lines have labels.
    """
    handles, labels = axes.get_legend_handles_labels()
    if not labels:
        return
    width, height = figure.get_size_inches()
    least = 4.0 + _HANDLE + _LETTER * max(map(len, labels))
    height = max(height, 0.4 + _ROW * len(labels))
    figure.set_size_inches(max(width, least), height)
    figure.legend(handles, labels, loc="outside right upper", frameon=False)


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
