"""One number of each method, over seeds, with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.plotting.style import looks, plain, round_log_ticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def end_points(
    values: Mapping[str, ArrayLike],
    intervals: Mapping[str, tuple[float, float]] | None = None,
    *,
    xlabel: str,
    log: bool = False,
    title: str = "",
    order: Sequence[str] = (),
) -> Figure:
    """A row for each method: its seeds as small points, its mean, and its interval.

    Args:
      values: by method, the first one on top: one value for each seed. Those that are
        not finite, or not above 0 on a logarithmic axis, are left out and counted.
      intervals: by method: the ends of an interval; those that are not finite are not
        drawn.
      xlabel: name of the values, with their unit.
      log: logarithmic axis; the mean is then the geometric one.
      title: above the figure.
      order: see ``style.looks``.

    Returns:
      The figure, as high as it has methods.

    Raises:
      InputError: there is no method.

    >>> figure = end_points({"sam": [0.9, 0.92]}, {"sam": (0.88, 0.94)}, xlabel="x")
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['sam']
    """
    if not values:
        raise InputError("no methods to draw")
    from matplotlib.figure import Figure

    count = len(values)
    figure = Figure(figsize=(6.6, 1.1 + 0.36 * count), layout="constrained")
    axes = figure.subplots()
    chosen = looks(list(values), order)
    for place, (name, given) in enumerate(values.items()):
        every, look = np.ravel(np.asarray(given, float)), chosen[name]
        fit = np.isfinite(every) & ((every > 0) if log else True)
        seeds = every[fit]
        ends = np.array((intervals or {}).get(name, (np.nan, np.nan)))
        if np.all(np.isfinite(ends)):
            axes.plot(ends, [place] * 2, color=look.color, linewidth=2.2, zorder=2)
        small = {"color": look.color, "markersize": 5.0, "alpha": 0.6}
        axes.plot(seeds, [place + 0.24] * seeds.size, ".", zorder=2, **small)
        if seeds.size:
            mean = np.exp(np.log(seeds).mean()) if log else seeds.mean()
            mark = {"markersize": 7.0, "markeredgecolor": "white"}
            axes.plot(mean, place, look.marker, color=look.color, zorder=3, **mark)
        if seeds.size < every.size:
            lost = f"{every.size - seeds.size} of {every.size} seeds cannot be drawn"
            axes.annotate(
                lost,
                (0.01, place),
                xycoords=("axes fraction", "data"),
                va="center",
                color="0.35",
                fontsize="small",
            )
    if log:
        axes.set_xscale("log")
    axes.set_yticks(np.arange(count), list(values))
    axes.set_ylim(count - 0.4, -0.6)
    axes.set_xlabel(xlabel)
    plain(axes)
    if log:
        round_log_ticks(axes.xaxis)
    if title:
        axes.set_title(title, loc="left")
    return figure
