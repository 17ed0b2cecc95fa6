"""Sharpness along training, in multiples of the edge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.harness import figures as style
from experiments.studies.edge_of_stability.config import Row
from experiments.studies.edge_of_stability.measure import Trajectory


def paths(found: Mapping[Row, Trajectory]) -> style.Figure:
    """A column for each optimizer: sharpness above, loss below.

    Args:
      found: what was measured.

    Returns:
      The figure; thin lines are seeds, thick ones their means.
    """
    figure, grid = style.grid(2, len(found), 3.1 * len(found), 5.6, sharex=True)
    for (above, below), (row, path) in zip(grid.T, found.items(), strict=True):
        above.axhline(1.0, color=style.RED, linestyle="--", label=row.formula)
        _lines(above, path.steps, path.sharpness, style.BLUE, "largest eigenvalue")
        if path.batch_sharpness is not None:
            _lines(above, path.steps, path.batch_sharpness, style.AMBER, "batch")
        _lines(below, path.steps, path.loss, "#4a4f57", None)
        above.set_title(row.name)
        above.set_ylim(0, 1.6)
        above.legend(frameon=False, loc="lower right")
        below.set_yscale("log")
        below.set_xlabel("step")
    grid[0, 0].set_ylabel("sharpness over the edge of stability")
    grid[1, 0].set_ylabel("loss on the whole set")
    for axes in grid.flat:
        style.tidy(axes)
    return figure


def _lines(
    axes: Any, steps: np.ndarray, values: np.ndarray, color: str, label: str | None
) -> None:
    axes.plot(steps, values, color=color, linewidth=0.6, alpha=0.45)
    axes.plot(steps, values.mean(axis=1), color=color, linewidth=2.0, label=label)
