"""Sharpness curves with the stability limit of the step size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.plotting.style import (
    DASHES,
    MARKERS,
    PALETTE,
    plain,
    round_log_ticks,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def sharpness_curve(
    steps: ArrayLike,
    measures: Mapping[str, ArrayLike],
    learning_rate: ArrayLike | None = None,
    *,
    log: bool = True,
    title: str = "",
) -> Figure:
    r"""Sharpness against the step, with the line :math:`2 / \eta`.

    Gradient descent with step size eta is stable where the largest eigenvalue is below
    2 / eta; at the edge of stability training stays at that line.

    Args:
      steps: steps of the measurements, shape ``(n,)``.
      measures: by name (``"largest eigenvalue"``, ``"batch sharpness"``): shape
        ``(n,)``, or ``(n, seeds)``: then thin lines and their mean. In units of the
        loss over those of the parameters squared. NaN leaves a gap.
      learning_rate: eta, a number or one for each step; ``None`` draws no line. Where
        it is 0, at the end of a schedule, the line has a gap.
      log: logarithmic vertical axis.
      title: above the figure.

    Returns:
      The figure; ``figure.savefig(path)`` writes it.

    Raises:
      InputError: there is no measure, or lengths differ.

    >>> figure = sharpness_curve([0, 10], {"largest eigenvalue": [3.0, 40.0]}, 0.05)
    >>> [line.get_label() for line in figure.axes[0].lines]
    ['largest eigenvalue', '2 / learning rate']
    """
    at = np.ravel(np.asarray(steps, float))
    if not measures:
        raise InputError("no measures to draw")
    curves = {name: _columns(name, values, at) for name, values in measures.items()}
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    for i, (name, values) in enumerate(curves.items()):
        color, seeds = PALETTE[i % len(PALETTE)], values.shape[1]
        if seeds > 1:
            axes.plot(at, values, color=color, linewidth=0.7, alpha=0.4)
        axes.plot(
            at,
            values.mean(axis=1),
            color=color,
            linestyle=DASHES[i % len(DASHES)],
            linewidth=2.0,
            marker=MARKERS[i % len(MARKERS)],
            markersize=4.5,
            markevery=max(1, len(at) // 30),
            label=name if seeds == 1 else f"{name}, mean of {seeds} seeds",
        )
    if learning_rate is not None:
        rate = np.ravel(np.asarray(learning_rate, float))
        if rate.size not in (1, at.size):
            raise InputError(
                f"learning_rate must be a number or one for each of the {at.size} "
                f"steps; got {rate.size}"
            )
        rate = np.broadcast_to(rate, at.shape)
        limit = np.full(at.shape, np.nan)
        np.divide(2.0, rate, out=limit, where=rate > 0)
        axes.plot(at, limit, color="black", linewidth=1.2, dashes=(5, 2), label=_LIMIT)
    if log:
        axes.set_yscale("log")
        round_log_ticks(axes.yaxis)
    axes.set_xlabel("step")
    axes.set_ylabel("sharpness (loss per parameter squared)")
    plain(axes)
    axes.legend(frameon=False)
    if title:
        axes.set_title(title)
    return figure


_LIMIT = "2 / learning rate"


def _columns(name: str, values: ArrayLike, at: np.ndarray) -> np.ndarray:
    array = np.asarray(values, float)
    if array.ndim not in (1, 2) or len(array) != at.size or array.size == 0:
        raise InputError(
            f"{name} must have one value (or one row of seeds) for each of the "
            f"{at.size} steps; got shape {array.shape}"
        )
    return array.reshape(at.size, -1)
