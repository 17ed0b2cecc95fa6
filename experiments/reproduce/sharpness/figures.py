"""The accuracy of every method against its radius."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments.reproduce.sharpness import rows
from experiments.reproduce.sharpness.claims import Result, columns
from experiments.reproduce.sharpness.config import Config

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def radius_curves(
    chosen: Sequence[rows.Row],
    results: Mapping[tuple[str, str], Result],
    config: Config,
) -> Figure:
    """Mean test accuracy against the radius, a panel for each column.

    Methods without a radius are horizontal lines, at their chosen setting. Solid
    lines are for the first decay beside the radii, dotted ones for the others. A dot
    marks the setting that the validation accuracy chose. Each panel ends a little
    below the worst chosen setting; lines that leave it are trainings that fail.

    Args:
      chosen: the methods to draw.
      results: by name of row and column.
      config: the size of the experiment.

    Returns:
      The figure.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    panels = columns(config)
    figure = Figure(figsize=(4.2 * len(panels), 5.2), layout="constrained")
    palette = colormaps["tab20"]
    for axes, column in zip(
        np.ravel(figure.subplots(1, len(panels))), panels, strict=True
    ):
        for i, row in enumerate(chosen):
            result, color = results[row.name, column.name], palette(i % palette.N)
            if row.tunes != "radius":
                height = 100 * result.curve[result.chosen]
                axes.axhline(height, color=color, linestyle="--", label=row.name)
                continue
            width = len(row.radii)
            lines = 100 * result.curve.reshape(-1, width)
            for j, line in enumerate(lines):
                axes.plot(
                    row.radii,
                    line,
                    color=color,
                    linestyle=":" if j else "-",
                    label=None if j else row.name,
                )
            best = row.radii[result.chosen % width]
            axes.plot(best, 100 * result.curve[result.chosen], "o", color=color)
        heights = [
            100 * r.curve[r.chosen]
            for r in (results[row.name, column.name] for row in chosen)
        ]
        span = max(max(heights) - min(heights), 0.5)
        axes.set_ylim(min(heights) - 1.5 * span, max(heights) + 0.5 * span)
        axes.set_xscale("log")
        axes.set_xlabel("radius")
        axes.set_title(column.name)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel(f"test accuracy (%), mean of {config.seeds} seeds")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=7, frameon=False)
    return figure
