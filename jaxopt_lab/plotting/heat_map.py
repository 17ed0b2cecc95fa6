"""Heat maps of a score over two options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from jaxopt_lab.core.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

End = Literal["", "first", "last"]
_FRAME, _OPEN = "#d55e00", "#b3332b"


def heat_map(
    values: ArrayLike,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    xlabel: str,
    ylabel: str = "",
    label: str = "",
    best: tuple[int, int] | None = None,
    lower_is_better: bool = False,
    ended: ArrayLike | None = None,
    edge: tuple[End | str, End | str] = ("", ""),
    title: str = "",
) -> Figure:
    """Cells with a number each, coloured by it; dark is worse, also in grey.

    Args:
      values: one for each row and column; those that are not finite are hatched.
      rows: values of the option down, the first on top.
      columns: values of the option across.
      xlabel: name of the option across.
      ylabel: name of the option down.
      label: name of the values, with their unit.
      best: row and column of the best cell, framed and in bold.
      lower_is_better: turn the colours around.
      ended: cells whose training ended early; their numbers are in brackets.
      edge: ``"first"`` or ``"last"`` for the option down and the option across: a heavy
        broken line there says that the best cell stands at the edge of the grid.
      title: above the figure.

    Returns:
      The figure.

    Raises:
      InputError: shapes do not fit, or no value is finite.

    >>> figure = heat_map([[1.0, 3.0]], [""], ["0.1", "0.2"], xlabel="rho")
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['1', '3']
    """
    cells = np.asarray(values, float)
    shape = (len(rows), len(columns))
    early = np.zeros(shape, bool) if ended is None else np.asarray(ended, bool)
    for name, array in (("values", cells), ("ended", early)):
        if array.shape != shape:
            raise InputError(
                f"{name} must have the shape {shape} of rows and columns; got "
                f"{array.shape}"
            )
    if not np.any(np.isfinite(cells)):
        raise InputError("no value is finite: there is nothing to draw")
    from matplotlib.figure import Figure

    size = (1.9 + 0.85 * shape[1], 1.3 + 0.55 * shape[0])
    figure = Figure(figsize=(max(size[0], 4.2), size[1]), layout="constrained")
    axes = figure.subplots()
    shown = np.ma.masked_invalid(cells)
    colors = "cividis_r" if lower_is_better else "cividis"
    drawn = axes.imshow(shown, cmap=colors, aspect="auto")
    _numbers(axes, cells, early, drawn, best)
    axes.set_xticks(range(shape[1]), list(columns))
    axes.set_yticks(range(shape[0]), list(rows))
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if best is not None:
        frame = {"fill": False, "edgecolor": _FRAME, "linewidth": 3, "zorder": 4}
        _square(axes, best, **frame)
    _open_ends(axes, shape, edge)
    figure.colorbar(drawn, ax=axes, label=label, shrink=0.9)
    if title:
        figure.suptitle(title, fontsize="medium")
    return figure


def _numbers(
    axes: Any,
    cells: np.ndarray,
    early: np.ndarray,
    drawn: Any,
    best: tuple[int, int] | None,
) -> None:
    for place in np.ndindex(*cells.shape):
        row, column = (int(i) for i in place)
        if not np.isfinite(cells[place]):
            _square(axes, (row, column), fill=False, hatch="///", edgecolor="0.5", lw=0)
            continue
        text = f"{cells[place]:.4g}"
        red, green, blue, _ = drawn.cmap(drawn.norm(cells[place]))
        bright = 0.3 * red + 0.59 * green + 0.11 * blue > 0.5
        axes.text(
            column,
            row,
            f"({text})" if early[place] else text,
            ha="center",
            va="center",
            fontsize="small",
            color="black" if bright else "white",
            fontweight="bold" if best == (row, column) else "normal",
        )


def _square(axes: Any, place: tuple[int, int], **look: Any) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((place[1] - 0.5, place[0] - 0.5), 1, 1, **look))


def _open_ends(axes: Any, shape: tuple[int, int], edge: tuple[str, str]) -> None:
    """A heavy broken line at each end beyond which the grid should go on."""
    line = {"color": _OPEN, "linewidth": 4, "linestyle": (0, (2, 1)), "clip_on": False}
    down, across = edge
    wide, high = (-0.5, shape[1] - 0.5), (-0.5, shape[0] - 0.5)
    if down:
        at = high[0] if down == "first" else high[1]
        axes.plot(wide, (at, at), **line)
    if across:
        at = wide[0] if across == "first" else wide[1]
        axes.plot((at, at), high, **line)
    axes.set_xlim(*wide)
    axes.set_ylim(high[1], high[0])
