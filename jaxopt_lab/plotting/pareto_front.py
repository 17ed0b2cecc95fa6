"""Candidates by two scores, with those that no other dominates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from jaxopt_lab.core.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def pareto_front(
    x: ArrayLike,
    y: ArrayLike,
    on_front: ArrayLike,
    *,
    xlabel: str,
    ylabel: str,
    title: str = "",
) -> Figure:
    """All candidates as points, those of the front joined in the order of x.

    Args:
      x: ``(n,)``.
      y: ``(n,)``; points that are not finite are left out and counted in the title.
      on_front: ``(n,)`` bool.
      xlabel: name of x, with its unit.
      ylabel: name of y.
      title: above the figure.

    Returns:
      The figure.

    Raises:
      InputError: sizes do not fit, or there is no finite point.

    >>> figure = pareto_front([1, 2], [2, 1], [True, True], xlabel="a", ylabel="b")
    >>> len(figure.axes[0].lines)
    2
    """
    a, b, front = np.asarray(x, float), np.asarray(y, float), np.asarray(on_front, bool)
    if a.ndim != 1 or a.shape != b.shape or a.shape != front.shape:
        raise InputError(
            f"x, y and on_front must have one shape (n,); got {a.shape}, {b.shape} and "
            f"{front.shape}"
        )
    fit = np.isfinite(a) & np.isfinite(b)
    if not fit.any():
        raise InputError("no candidate to draw has finite scores")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.plot(a[fit], b[fit], ".", color="0.6", markersize=7)
    best = np.flatnonzero(fit & front)
    best = best[np.argsort(a[best], kind="stable")]
    axes.plot(a[best], b[best], "o-", color="C0", markersize=5, linewidth=1.4)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    left = int((~fit).sum())
    said = f"{left} of {fit.size} not finite" if left else ""
    axes.set_title(" · ".join(filter(None, (title, said))), fontsize=10)
    axes.grid(alpha=0.25)
    return figure
