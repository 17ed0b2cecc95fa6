"""Curvature of noise contrast, and divergences by learning rate."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from experiments.harness import figures as style
from experiments.studies.scores import Score
from experiments.studies.unnormalized.config import Config
from experiments.studies.unnormalized.measure import Measured


def panels(
    measured: Measured, scores: Mapping[str, Score], config: Config
) -> style.Figure:
    """The curvature over the model's mean, the divergence over the learning rate.

    Args:
      measured: the measurements.
      scores: of the binary models, by method.
      config: the size of the study.

    Returns:
      The figure.
    """
    figure, ((left, right),) = style.grid(1, 2, 9.0, 3.6)
    left.axhline(1.0, color=style.BLUE, label="likelihood, meco")
    left.plot(
        measured.thetas, measured.curvatures, ":", color=style.ORANGE, label="nce"
    )
    left.axvline(config.mean, color=style.GREY, linewidth=0.8)
    left.set_xlabel("mean of the model (line: of the data)")
    left.set_ylabel("curvature of the loss")
    looks = style.look_of(list(scores))
    for name, s in scores.items():
        color, marker, line = looks[name]
        curve = np.where(np.isfinite(s.curve), s.curve, np.nan)
        right.plot(config.rates, curve, line, marker=marker, color=color, label=name)
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_xlabel("learning rate at the start")
    right.set_ylabel("divergence (nats)")
    for axes in (left, right):
        style.tidy(axes)
        axes.legend(frameon=False)
    return figure
