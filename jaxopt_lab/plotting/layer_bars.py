"""Bar charts with one number for each layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.plotting.style import PALETTE, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def layer_bars(
    names: Sequence[str],
    values: ArrayLike,
    errors: ArrayLike | None = None,
    *,
    xlabel: str,
    reference: float | None = None,
    reference_label: str = "",
    log: bool = False,
    title: str = "",
) -> Figure:
    """Horizontal bars, one for each layer, the first layer on top.

    Args:
      names: paths of the layers, such as ``"encoder/0/kernel"``.
      values: one for each; a bar that is not finite is left out and marked so.
      errors: half the width of an interval around each, or ``None``.
      xlabel: name of the values, with their unit.
      reference: a vertical line, for instance 2 / learning rate or the exponent of a
        random matrix.
      reference_label: its name in the legend.
      log: logarithmic; values must then be above 0.
      title: above the figure.

    Returns:
      The figure, as high as it has layers.

    Raises:
      InputError: there is no layer, lengths differ, or a value is not above 0 on a
        logarithmic axis.

    >>> figure = layer_bars(["0/kernel", "1/kernel"], [3.1, 2.4], xlabel="alpha")
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['0/kernel', '1/kernel']
    """
    lengths = np.ravel(np.asarray(values, float))
    count = len(names)
    if count == 0:
        raise InputError("no layers to draw")
    half = None if errors is None else np.ravel(np.asarray(errors, float))
    for name, array in (("values", lengths), ("errors", half)):
        if array is not None and array.size != count:
            raise InputError(
                f"{name} must be one for each of the {count} layers; got {array.size}"
            )
    if log and np.any(lengths <= 0):
        raise InputError(
            f"values must be above 0 on a logarithmic axis; got {np.nanmin(lengths):g}"
        )
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 1.2 + 0.28 * count), layout="constrained")
    axes = figure.subplots()
    places = np.arange(count)
    finite = np.isfinite(lengths)
    axes.barh(
        places[finite],
        lengths[finite],
        xerr=None if half is None else half[finite],
        height=0.7,
        color=PALETTE[0],
        error_kw={"elinewidth": 1.2, "capsize": 2.5, "ecolor": "0.25"},
    )
    for place in places[~finite]:
        axes.text(
            0.01,
            place,
            "not finite",
            transform=axes.get_yaxis_transform(),
            va="center",
            color="0.35",
            fontsize="small",
        )
    if log:
        axes.set_xscale("log")
    axes.set_yticks(places, list(names))
    axes.set_ylim(count - 0.4, -0.6)
    axes.set_xlabel(xlabel)
    plain(axes)
    axes.grid(visible=False, axis="y")
    if reference is not None:
        axes.axvline(
            reference,
            color="black",
            linewidth=1.2,
            dashes=(5, 2),
            label=reference_label or f"{reference:g}",
        )
        figure.legend(loc="outside upper right", frameon=False)
    if title:
        axes.set_title(title, loc="left")
    return figure
