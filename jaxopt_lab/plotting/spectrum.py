"""Figures of spectral densities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.plotting.style import PALETTE, looks, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def spectrum(
    densities: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    eigenvalues: Mapping[str, ArrayLike] | None = None,
    floor: float = 1e-6,
    xlabel: str = "eigenvalue (loss per parameter squared)",
    title: str = "",
    order: Sequence[str] = (),
) -> Figure:
    """Spectral densities on a logarithmic axis, with single eigenvalues below.

    Most eigenvalues of a network are near zero and the large ones are few, so that a
    linear axis shows only a spike.

    Args:
      densities: by name, for the legend: the pair of eigenvalues and
        density at them, two arrays of the same length. A density integrates to 1, in
        units of one over the eigenvalue.
      eigenvalues: by the same names: eigenvalues known individually, for instance
        the largest ones; short strokes below the curve.
      floor: the lowest density shown, as a part of the highest. A broadened density
        falls without bound between eigenvalues; values below carry no information.
      xlabel: name of the eigenvalues, with their unit.
      title: above the figure.
      order: all methods, for one look of each in every figure; see ``style.looks``.

    Returns:
      The figure; ``figure.savefig(path)`` writes it.

    Raises:
      InputError: there is nothing to draw, lengths differ, no density is above 0, or a
        name of ``eigenvalues`` is not among the densities.

    >>> x = np.linspace(-1.0, 5.0, 100)
    >>> figure = spectrum({"sgd": (x, np.exp(-x**2))}, eigenvalues={"sgd": [4.2]})
    >>> figure.axes[0].get_yscale()
    'log'
    """
    curves = {name: _curve(name, *pair) for name, pair in densities.items()}
    if not curves:
        raise InputError("no densities to draw")
    strokes = {} if eigenvalues is None else eigenvalues
    if missing := sorted(set(strokes) - set(curves)):
        raise InputError(
            f"eigenvalues are given for {', '.join(missing)}, which is not among the "
            f"densities: {', '.join(curves)}"
        )
    top = max(np.nanmax(density) for _, density in curves.values())
    if not top > 0:
        raise InputError(f"a density must be above 0 somewhere; the highest is {top}")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    axes.set_yscale("log")
    axes.set_ylim(floor * top, 2 * top)
    chosen = looks(list(curves), order)
    for i, (name, (at, density)) in enumerate(curves.items()):
        look = chosen[name]
        color = PALETTE[0] if len(curves) == 1 else look.color
        drawn: dict[str, Any] = look.line(at.size) if len(curves) > 1 else {}
        # Values below the floor, zero included, are clipped to the edge of the axis.
        shown = np.maximum(density, 0.1 * floor * top)
        axes.plot(at, shown, linewidth=1.6, label=name, **{**drawn, "color": color})
        if len(curves) == 1:
            axes.fill_between(at, 0.1 * floor * top, shown, color=color, alpha=0.15)
        if name in strokes:
            known = np.ravel(np.asarray(strokes[name], float))
            height = 0.05 - 0.012 * (i % 4)
            axes.vlines(
                known,
                0.0,
                height,
                transform=axes.get_xaxis_transform(),
                color=color,
                linewidth=1.4,
            )
    axes.axvline(0.0, color="0.6", linewidth=0.8, zorder=0)
    axes.set_xlabel(xlabel)
    axes.set_ylabel("spectral density")
    plain(axes)
    if len(curves) > 1:
        axes.legend(frameon=False)
    if title:
        axes.set_title(title)
    return figure


def _curve(name: str, at: ArrayLike, density: ArrayLike) -> tuple[np.ndarray, ...]:
    x, y = np.asarray(at, float), np.asarray(density, float)
    if x.ndim != 1 or x.shape != y.shape or x.size == 0:
        raise InputError(
            f"density {name!r} must be two lists of one length; got shapes {x.shape} "
            f"and {y.shape}"
        )
    return x, y
