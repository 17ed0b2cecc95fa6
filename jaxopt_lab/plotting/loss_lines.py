"""Figures of the loss along lines, several in one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.plotting.style import legend_below, looks, plain, round_log_ticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Lines = Mapping[str, tuple[ArrayLike, ArrayLike]]


def loss_lines(
    panels: Mapping[str, Lines],
    *,
    log: bool = True,
    xlabels: Mapping[str, str] | None = None,
    ylabel: str = "loss (nats)",
    title: str = "",
    order: Sequence[str] = (),
) -> Figure:
    """The loss along lines, a panel for each kind of line, on one scale.

    Args:
      panels: by title (``"filter-normalised"``): lines by name (``"sgd"``): the pair
        of coordinates (n) and losses, (n) or (n, repeats). With repeats, their median
        is the line and their quartiles are a band.
      log: logarithmic vertical axis.
      xlabels: by title: name of the coordinate, with its unit.
      ylabel: name of the losses, with their unit.
      title: above all panels.
      order: all methods, for one look of each in every figure; see ``style.looks``.

    Returns:
      The figure; ``figure.savefig(path)`` writes it.

    Raises:
      InputError: there is nothing to draw, or lengths differ.

    >>> at = np.linspace(-1.0, 1.0, 5)
    >>> figure = loss_lines({"random": {"sgd": (at, 0.1 + at**2)}})
    >>> figure.axes[0].get_ylabel()
    'loss (nats)'
    """
    if not panels or not all(panels.values()):
        raise InputError("no lines to draw")
    from matplotlib.figure import Figure

    width = max(3.6 * len(panels), 5.0)
    figure = Figure(figsize=(width, 3.8), layout="constrained")
    grid = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    chosen = looks(names, order)
    for axes, (heading, lines) in zip(grid, panels.items(), strict=True):
        for name, (steps, losses) in lines.items():
            at, values = np.asarray(steps, float), np.asarray(losses, float)
            if at.ndim != 1 or values.ndim not in (1, 2) or len(values) != at.size:
                raise InputError(
                    f"line {name!r} must be coordinates (n) and losses (n) or "
                    f"(n, repeats); got shapes {at.shape} and {values.shape}"
                )
            values = values.reshape(at.size, -1)
            look = chosen[name]
            low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], axis=1)
            axes.plot(at, middle, linewidth=1.7, label=name, **look.line(at.size))
            if values.shape[1] > 1:
                shade = {"color": look.color, "alpha": 0.15, "linewidth": 0}
                axes.fill_between(at, low, high, **shade)
        if log:
            axes.set_yscale("log")
        axes.set_title(heading)
        axes.set_xlabel((xlabels or {}).get(heading, "coordinate"))
        plain(axes)
    if log:
        round_log_ticks(grid[0].yaxis)
    grid[0].set_ylabel(ylabel)
    legend_below(figure, max(grid, key=lambda axes: len(axes.lines)))
    if title:
        figure.suptitle(title)
    return figure
