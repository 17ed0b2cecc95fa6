"""Rank correlations of all predictors."""

from __future__ import annotations

import numpy as np

from experiments.harness import figures as style
from experiments.studies.predictors.measure import PREDICTORS, Measured


def taus(measured: Measured) -> style.Figure:
    """Two panels, within a space and zero-shot; a mark for each bench."""
    figure, ((left, right),) = style.grid(1, 2, 9.0, 3.8, sharey=True)
    panels = (
        (left, measured.within, "trained on the same space"),
        (right, measured.zero_shot, "trained on the other spaces"),
    )
    for axes, values, title in panels:
        looks = style.look_of(list(PREDICTORS))
        for i, (predictor, (color, marker, _)) in enumerate(looks.items()):
            for j, name in enumerate(values):
                own = values[name][predictor]
                place = np.full(own.shape, j + 0.16 * (i - 1.5))
                label = predictor if j == 0 else None
                axes.plot(place, own, marker, color=color, markersize=4, label=label)
        axes.axhline(0, color="0.6", linewidth=0.8)
        axes.set_xticks(range(len(values)), list(values))
        axes.set_title(title, fontsize=10)
        style.tidy(axes)
    left.set_ylabel("Kendall's tau of accuracies")
    right.legend(frameon=False, fontsize=8)
    return figure
