"""Figures of means with Student's intervals, a row for each arm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from experiments.harness import figures as style
from jaxopt_lab.lab.statistics import mean_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Arms = Mapping[str, np.ndarray]
"""One value a seed, by arm."""


def intervals(panels: Mapping[str, Arms], label: str, scale: float = 1.0) -> Figure:
    """Means and 95 % intervals of every arm, side by side for the panels.

    Args:
      panels: arms by panel; the panels have the same arms in one order.
      label: of the numbers, with their unit.
      scale: factor on them.

    Returns:
      The figure.
    """
    arms = list(next(iter(panels.values())))
    height = 1.1 + 0.32 * len(arms)
    figure, (axes,) = style.grid(1, len(panels), 3.2 * len(panels) + 1.2, height)
    for one, (panel, values) in zip(axes, panels.items(), strict=True):
        for row, arm in enumerate(arms):
            mean, half = (scale * x for x in mean_interval(values[arm]))
            one.errorbar(mean, row, xerr=half, fmt="o", color=style.BLUE, capsize=3)
        one.set_yticks(range(len(arms)), arms if one is axes[0] else [])
        one.set_ylim(len(arms) - 0.5, -0.5)
        one.set_xlabel(label)
        one.set_title(panel, fontsize="medium")
        style.tidy(one)
    return figure
