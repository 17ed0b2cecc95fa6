"""Every method against its radius."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments.harness import figures as style
from experiments.studies.sharpness import rows
from experiments.studies.sharpness.columns import Column, Result, Results, tuned
from experiments.studies.sharpness.config import Panel
from jaxopt_lab.plotting.style import round_log_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def radius_curves(
    panel: Panel, chosen: Sequence[rows.Row], results: Results, seeds: int
) -> Figure:
    """Means over seeds against the radius, one plot for each column of a panel.

    Methods without a radius are horizontal lines, at their chosen setting. Solid
    lines are for the first decay beside the radii, dotted ones for the others. A large
    marker is the chosen setting. Each plot of an accuracy ends a little below the worst
    chosen setting; lines that leave it are trainings that fail.

    Args:
      panel: the panel.
      chosen: the methods to draw.
      results: by names of panel, column and row.
      seeds: their number.

    Returns:
      The figure.
    """
    columns = tuned(panel)
    across = min(3, len(columns))
    down = -(-len(columns) // across)
    figure, grid = style.grid(down, across, 4.6 * across, 4.2 * down + 1)
    plots = np.ravel(grid)
    for axes, column in zip(plots, columns, strict=False):
        _draw(axes, column, panel, chosen, results)
    for axes in plots[len(columns) :]:
        axes.set_visible(False)
    plots[0].set_ylabel(f"test accuracy (%), mean of {seeds} seeds")
    told = ["large markers: chosen", "dashed: without a radius"]
    if len(panel.radius_decays) > 1:
        told += [f"solid: decay {panel.radius_decays[0]:g}", "dotted: with decay"]
    figure.suptitle(f"{panel.name}; {', '.join(told)}")
    # Without decay the row that tunes it has no line.
    most = max(plots, key=lambda axes: len(axes.get_legend_handles_labels()[1]))
    style.legend_below(figure, most)
    return figure


def _draw(
    axes: Axes,
    column: Column,
    panel: Panel,
    chosen: Sequence[rows.Row],
    results: Results,
) -> None:
    looks = style.look_of([row.name for row in chosen])
    factor = 1 if column.flat else 100
    heights = []
    for row in chosen:
        result = results.get((panel.name, column.name, row.name))
        look = looks[row.name]
        if result is None:
            continue
        height = factor * result.curve[result.chosen]
        heights.append(height)
        if row.tunes != "radius":
            across = {**look.line(), "linestyle": "--"}
            axes.plot(
                panel.radii, [height] * len(panel.radii), label=row.name, **across
            )
            continue
        _curve(axes, row, panel, result, factor, look)
    if not column.flat and heights:
        span = max(max(heights) - min(heights), 0.5)
        axes.set_ylim(min(heights) - 1.5 * span, max(heights) + 0.5 * span)
    axes.set_xscale("log")
    if column.flat:
        axes.set_yscale("log")
        round_log_ticks(axes.yaxis)
    axes.set_xlabel("radius")
    axes.set_title(column.name)
    style.tidy(axes)


def _curve(
    axes: Axes,
    row: rows.Row,
    panel: Panel,
    result: Result,
    factor: int,
    look: style.Look,
) -> None:
    grid = rows.settings(row, panel)
    width = len(panel.radii)
    radii = [setting.rho for setting in grid[:width]]
    for j, line in enumerate(factor * result.curve.reshape(-1, width)):
        axes.plot(
            radii,
            line,
            label=None if j else row.name,
            **{**look.line(width), "linestyle": ":" if j else "-"},
        )
    best = grid[result.chosen].rho
    height = factor * result.curve[result.chosen]
    axes.plot(best, height, look.marker, color=look.color, markersize=9)
