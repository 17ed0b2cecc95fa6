"""Scores of several methods along an axis, with bands over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.plotting.style import legend_below, looks, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Curves = Mapping[str, tuple[ArrayLike, ArrayLike]]


def score_bands(
    panels: Mapping[str, Curves],
    *,
    ylabel: str,
    xlabels: Mapping[str, str] | None = None,
    widths: Mapping[str, ArrayLike] | None = None,
    settled: float = 0.0,
    title: str = "",
    order: Sequence[str] = (),
) -> Figure:
    """The mean score of each method along an axis, a panel for each axis.

    Args:
      panels: by title (``"gradients"``): curves by method: the pair of places (n) and
        scores, (n) or (n, seeds).
      ylabel: name of the score, with its unit.
      xlabels: by title: name of the axis; the title itself by default.
      widths: by method: half the width of the band around the mean, (n); without it
        the band is from the lowest seed to the highest.
      settled: the vertical axis shows what the curves reach behind this part of each;
        the rest, such as the first tests of a training, is cut off. 0: all.
      title: above all panels.
      order: see ``style.looks``.

    Returns:
      The figure; ``figure.savefig(path)`` writes it.

    Raises:
      InputError: there is nothing to draw, or lengths differ.

    >>> scores = np.array([[50.0, 60.0], [70.0, 72.0]])
    >>> figure = score_bands({"step": {"sgd": ([1, 2], scores)}}, ylabel="accuracy (%)")
    >>> figure.axes[0].get_xlabel()
    'step'
    """
    if not panels or not all(panels.values()):
        raise InputError("no scores to draw")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(4.4 * len(panels), 5.4), 3.9), layout="constrained")
    grid = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    names = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    chosen = looks(names, order)
    shown: list[float] = []
    for axes, (heading, curves) in zip(grid, panels.items(), strict=True):
        for place, (name, (at, scores)) in enumerate(curves.items()):
            x, y = _checked(name, at, scores)
            mean, look = y.mean(axis=1), chosen[name]
            low, high = y.min(axis=1), y.max(axis=1)
            if widths is not None and name in widths:
                half = np.nan_to_num(np.asarray(widths[name], float))
                low, high = mean - half, mean + half
            line = look.line(x.size)
            # Markers of curves that lie on each other stay visible side by side.
            line["markevery"] = (place % line["markevery"], line["markevery"])
            axes.plot(x, mean, linewidth=1.7, label=name, **line)
            if np.any(high > low):
                axes.fill_between(x, low, high, color=look.color, alpha=0.11, lw=0)
            late = slice(int(settled * x.size), None)
            shown += [*mean[late], *low[late][-1:], *high[late][-1:]]
        axes.set_xlabel((xlabels or {}).get(heading, heading))
        plain(axes)
    finite = [value for value in shown if np.isfinite(value)]
    if settled and finite and max(finite) > min(finite):
        margin = 0.06 * (max(finite) - min(finite))
        grid[0].set_ylim(min(finite) - margin, max(finite) + margin)
    grid[0].set_ylabel(ylabel)
    legend_below(figure, grid[0])
    if title:
        figure.suptitle(title)
    return figure


def _checked(
    name: str, at: ArrayLike, scores: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(at, float), np.asarray(scores, float)
    if x.ndim != 1 or not x.size or y.ndim not in (1, 2) or len(y) != x.size:
        raise InputError(
            f"curve {name!r} must be places (n) and scores (n) or (n, seeds); got "
            f"shapes {x.shape} and {y.shape}"
        )
    return x, y.reshape(x.size, -1)
