"""The landscapes of all optimizers in one picture."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from experiments.harness import figures as style
from experiments.studies.landscapes.config import Case, Config
from experiments.studies.landscapes.flatness import Cuts
from jaxopt_lab.curvature import Line
from jaxopt_lab.plotting.loss_lines import loss_lines
from jaxopt_lab.plotting.surfaces import loss_contours

_FILTER = "filter-normalised"
_HESSIAN = "top eigenvectors"
_FILTER_UNIT = "norms of the filters"


def planes(cuts: Mapping[str, Cuts], config: Config, case: Case) -> style.Figure:
    """Planes through the minima of the first seed, on one scale of colours.

    Args:
      cuts: by name of optimizer.
      config: the size of the experiment.
      case: network and loss.

    Returns:
      The figure: filter-normalised directions above, top eigenvectors below.
    """
    panels, across, upward = {}, {}, {}
    for kind in (_FILTER, _HESSIAN):
        unit = _FILTER_UNIT if kind == _FILTER else _hessian_unit(config)
        for name, found in cuts.items():
            key = f"{name}\n{kind}"
            surface = found.filter_plane if kind == _FILTER else found.hessian_plane
            panels[key] = (surface.first, surface.second, surface.losses)
            across[key] = f"first direction\n({unit})"
            upward[key] = f"second direction\n({unit})"
    # Without the cut, one steep corner takes up the whole range of colours.
    highest = float(np.quantile(np.stack([z for *_, z in panels.values()]), 0.95))
    return loss_contours(
        panels,
        columns=len(cuts),
        highest=highest,
        xlabel=across,
        ylabel=upward,
        label=f"training loss ({case.unit})",
        title=_title(case),
    )


def lines(cuts: Mapping[str, Cuts], config: Config, case: Case) -> style.Figure:
    """Lines through the minima of all seeds: medians, and quartiles as bands.

    Args:
      cuts: by name of optimizer.
      config: the size of the experiment.
      case: network and loss.

    Returns:
      The figure.
    """
    filtered = f"{_FILTER}, {config.seeds} seeds x {config.directions} directions"
    top = f"top eigenvector, {config.seeds} seeds"
    return loss_lines(
        {
            filtered: {name: _pair(found.filter_line) for name, found in cuts.items()},
            top: {name: _pair(found.hessian_line) for name, found in cuts.items()},
        },
        xlabels={
            filtered: f"step ({_FILTER_UNIT})",
            top: f"step ({_hessian_unit(config)})",
        },
        ylabel=f"training loss ({case.unit})",
        title=_title(case),
        order=style.methods(),
    )


def _pair(line: Line) -> tuple[np.ndarray, np.ndarray]:
    return line.steps, line.losses


def _title(case: Case) -> str:
    return f"{case.network} on digits, {case.loss} loss"


def _hessian_unit(config: Config) -> str:
    # See ``hessian_directions``: the same length in all panels.
    return rf"$\sqrt{{{2 * config.rise:g} / \lambda_{{SGD}}}}$"
