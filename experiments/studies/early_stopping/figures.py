"""Errors along meta-training, and where the rules stop."""

from __future__ import annotations

import numpy as np

from experiments.harness import figures as style
from experiments.studies.early_stopping.config import Config
from experiments.studies.early_stopping.measure import ABE, VALIDATION, Measured


def curves(measured: Measured, config: Config) -> style.Figure:
    """A panel for each target: mean errors, and the checkpoints of every seed."""
    figure, (panels,) = style.grid(1, len(measured.errors), 10.5, 3.4)
    looks = {VALIDATION: ("s", style.GREY), ABE: ("o", style.ORANGE)}
    for axes, (name, errors) in zip(panels, measured.errors.items(), strict=True):
        steps = config.every * (1 + np.arange(errors.shape[1]))
        axes.plot(steps, errors.T, color=style.BLUE, alpha=0.2, linewidth=0.8)
        axes.plot(steps, errors.mean(axis=0), color=style.BLUE, label="mean error")
        for rule, (marker, color) in looks.items():
            places = measured.chosen[name][rule]
            axes.plot(
                steps[places],
                errors[np.arange(len(errors)), places],
                marker,
                color=color,
                markersize=4,
                label=f"kept by {rule}",
            )
        axes.set_yscale("log")
        axes.set_title(f"{name} inputs")
        axes.set_xlabel("step of meta-training")
        style.tidy(axes)
    panels[0].set_ylabel("mean square error")
    panels[0].legend(frameon=False)
    return figure
