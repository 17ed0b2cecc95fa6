"""Agreement with the networks by noise level."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from experiments.harness import figures as style
from experiments.studies.denoiser_locality.config import Config

_TITLES = ("trained on pixels in order", "trained on shuffled pixels")


def curves(values: Mapping[str, np.ndarray], config: Config) -> style.Figure:
    """A panel for each order of the pixels, means over seeds.

    Args:
      values: by denoiser, ``(orders, levels, seeds)``.
      config: the size of the study.

    Returns:
      The figure.
    """
    figure, (panels,) = style.grid(1, 2, 9.0, 3.6, sharey=True)
    for i, (axes, title) in enumerate(zip(panels, _TITLES, strict=True)):
        for name, (color, marker, line) in style.look_of(list(values)).items():
            mean = values[name][i].mean(axis=-1)
            axes.plot(config.alphas, mean, line, marker=marker, color=color, label=name)
        axes.set_xlabel("cumulative signal")
        axes.set_title(title)
        style.tidy(axes)
    panels[0].set_ylabel("share of variance explained")
    panels[0].legend(frameon=False)
    return figure
