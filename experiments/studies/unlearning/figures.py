"""Divergence from retrained models, by place and method."""

from __future__ import annotations

import numpy as np

from experiments.harness import figures as style
from experiments.studies.scores import Panels


def bars(panels: Panels) -> style.Figure:
    """A panel for each place: the mean of every method, and a point a set.

    Args:
      panels: the scores.

    Returns:
      The figure.
    """
    figure, (row,) = style.grid(1, len(panels), 10.0, 3.2, sharey=True)
    for axes, (place, scores) in zip(row, panels.items(), strict=True):
        for i, s in enumerate(scores.values()):
            axes.barh(i, s.values.mean(), color=style.BLUE, alpha=0.35)
            spread = i + np.linspace(-0.25, 0.25, len(s.values))
            axes.plot(s.values, spread, "o", color=style.BLUE, markersize=3)
        axes.set_yticks(range(len(scores)), list(scores))
        axes.set_title(f"{place} images")
        axes.set_xlabel("KLoM (nats)")
        style.tidy(axes)
    row[0].invert_yaxis()
    return figure
