"""Modes that every arm covers."""

from __future__ import annotations

import numpy as np

from experiments.harness import figures as style
from experiments.studies.gan_diversity.config import Config
from experiments.studies.gan_diversity.measure import Measured


def bars(measured: Measured, config: Config) -> style.Figure:
    """A panel a set: the mean of every arm, and a point a seed."""
    figure, (panels,) = style.grid(1, 2, 9.0, 3.4, sharey=True)
    every = {"ring": config.ring, "grid": config.grid**2}
    for axes, (place, modes) in zip(panels, measured.modes.items(), strict=True):
        names = list(modes)
        for i, name in enumerate(names):
            values = modes[name]
            axes.barh(i, values.mean(), color=style.BLUE, alpha=0.35)
            spread = i + np.linspace(-0.25, 0.25, len(values))
            axes.plot(values, spread, "o", color=style.BLUE, markersize=3)
        axes.axvline(every[place], color=style.GREY, linewidth=0.8)
        axes.set_yticks(range(len(names)), names)
        axes.set_xlabel(f"modes of the {place} (line: all)")
        style.tidy(axes)
    # Shared: both panels turn.
    panels[0].invert_yaxis()
    return figure
