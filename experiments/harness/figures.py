"""Axes in the style of the studies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jaxopt_lab import catalog
from jaxopt_lab.plotting.style import Look, legend_below, legend_right, looks

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

__all__ = ["Look", "grid", "legend_below", "legend_right", "look_of", "tidy"]

BLUE, ORANGE, GREEN = "#1f5fa8", "#c2571a", "#2f8f5b"
VIOLET, OCHRE, RED = "#7b4fa3", "#8a6d1d", "#b3332b"
GREY, AMBER = "#8a8f98", "#c77700"


def grid(
    rows: int, columns: int, width: float, height: float, **shared: Any
) -> tuple[Figure, Any]:
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
    import matplotlib.figure

    figure = matplotlib.figure.Figure(figsize=(width, height), layout="constrained")
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


def log_places(axes: Any, places: Sequence[float] | np.ndarray, **text: Any) -> None:
    """Make the axis of a few measured places logarithmic, with a label at each.

    The labels of all the ticks within a decade would overlap.

    Args:
      axes: the axes.
      places: along the axis, each with its number as the label.
      **text: properties of the labels.
    """
    axes.set_xscale("log")
    axes.set_xticks(places, [f"{place:,g}" for place in places], **text)
    axes.minorticks_off()


def methods() -> list[str]:
    """The methods of the catalog, in the order that decides their looks."""
    return list(catalog.of_kind("transform"))


def look_of(names: Sequence[str]) -> dict[str, Look]:
    """The look of each method, the same one in the figures of all studies.

    Args:
      names: of methods of the catalog, or of rows of a study.

    Returns:
      Colour, marker and dashes by name.
    """
    return looks(names, methods())
