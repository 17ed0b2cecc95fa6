"""Axes in the style of the studies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

BLUE, ORANGE, GREEN = "#1f5fa8", "#c2571a", "#2f8f5b"
VIOLET, OCHRE, RED = "#7b4fa3", "#8a6d1d", "#b3332b"
GREY, AMBER = "#8a8f98", "#c77700"


def grid(
    rows: int, columns: int, width: float, height: float, **shared: Any
) -> tuple[Any, Any]:
    """A figure and a 2-D array of its axes.

    Args:
      rows: of axes.
      columns: of axes.
      width: of the whole figure, in inches.
      height: of the whole figure.
      **shared: further arguments of ``subplots``.

    Returns:
      ``(figure, axes)``.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **shared)


def tidy(axes: Any, *, lines: bool = True) -> None:
    """Remove the frame's top and right side; faint grid lines.

    Args:
      axes: the axes.
      lines: whether to draw grid lines.
    """
    if lines:
        axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def legend_below(figure: Any, axes: Any, columns: int) -> None:
    """One legend for all axes of a figure, below them.

    Args:
      figure: the figure.
      axes: those whose lines have labels.
      columns: of the legend.
    """
    handles, labels = axes.get_legend_handles_labels()
    place = "outside lower center"
    figure.legend(handles, labels, loc=place, ncols=columns, frameon=False)


def colors(names: Sequence[str], palette: str = "tab10") -> dict[str, Any]:
    """A colour for each name, in turn.

    Args:
      names: of methods.
      palette: of matplotlib.

    Returns:
      Colours by name.
    """
    from matplotlib import colormaps

    chosen: Any = colormaps[palette]
    return {name: chosen(i % chosen.N) for i, name in enumerate(names)}
