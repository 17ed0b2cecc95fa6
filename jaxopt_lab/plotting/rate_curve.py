"""The loss of a range test against its learning rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.plotting.style import (
    DASHES,
    PALETTE,
    legend_below,
    plain,
    round_log_ticks,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def rate_curve(
    rates: ArrayLike,
    losses: ArrayLike,
    smoothed: ArrayLike,
    marks: Mapping[str, float],
    *,
    title: str = "",
) -> Figure:
    """Loss against the learning rate of each step, with rates of note.

    Args:
      rates: learning rate of each step, above 0.
      losses: their losses; what is not finite is left out.
      smoothed: the same without the noise of the batches.
      marks: rates by name, vertical lines; those out of the range are not drawn.
      title: above the figure.

    Returns:
      The figure; ``figure.savefig(path)`` writes it.

    Raises:
      InputError: lengths differ, or there is no finite loss.

    >>> figure = rate_curve([0.1, 1.0], [2.0, 1.0], [2.0, 1.0], {"2 / lambda": 0.5})
    >>> [line.get_label() for line in figure.axes[0].lines][1:]
    ['smoothed', '2 / lambda: 0.5']
    """
    at, raw, line = (np.ravel(np.asarray(x, float)) for x in (rates, losses, smoothed))
    if not at.size == raw.size == line.size:
        raise InputError(
            f"rates, losses and smoothed must be of one length; got {at.size}, "
            f"{raw.size} and {line.size}"
        )
    if not np.isfinite(raw).any():
        raise InputError("no finite loss to draw")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, 4.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(at, raw, ".", color="0.6", markersize=4, label="loss of a batch")
    axes.plot(at, line, color=PALETTE[0], linewidth=2.0, label="smoothed")
    for i, (name, rate) in enumerate(marks.items()):
        if at[0] <= rate <= at[-1]:
            axes.axvline(
                rate,
                color=PALETTE[(i + 1) % len(PALETTE)],
                linestyle=DASHES[i % len(DASHES)],
                linewidth=1.5,
                label=f"{name}: {rate:.2g}",
            )
    axes.set_xscale("log")
    finite = line[np.isfinite(line)]
    if finite.size and finite.min() > 0:
        axes.set_yscale("log")
        axes.set_ylim(finite.min() / 1.5, 4 * finite[0])
        round_log_ticks(axes.yaxis)
    axes.set_xlabel("learning rate")
    axes.set_ylabel("training loss (nats)")
    plain(axes)
    legend_below(figure, axes)
    if title:
        axes.set_title(title)
    return figure
