"""Everything that a run records, a panel for each quantity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.plotting.curves import floats
from jaxopt_lab.plotting.style import PALETTE, plain, round_log_ticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Line(NamedTuple):
    """A quantity of the records.

    Attributes:
      kind: of the records that have it, ``"train"`` or ``"test"``.
      name: its name there.
      label: in the legend; empty: none.
    """

    kind: str
    name: str
    label: str = ""


class Panel(NamedTuple):
    """Axes of one or more quantities in the same unit.

    Attributes:
      ylabel: the quantity, with its unit.
      lines: those that are drawn, where a record has them.
      log: logarithmic vertical axis.
      scale: factor of the values.
    """

    ylabel: str
    lines: Sequence[Line]
    log: bool = False
    scale: float = 1.0


_OF_TRAINING = tuple(
    {"color": color, "linestyle": dash}
    for color, dash in zip(
        ("#8a8f98", *reversed(PALETTE[1:4])),
        ("--", ":", "-.", (0, (5, 1, 1, 1))),
        strict=True,
    )
)
"""Colours and dashes of the quantities of training in one panel."""


def record_panels(
    records: Sequence[Mapping[str, Any]], panels: Sequence[Panel], title: str = ""
) -> Figure:
    """Panels of quantities against the step; a panel without any is left out.

    With several seeds, each is a thin line and their mean a thick one. Values of a
    logarithmic panel that are not above 0 are gaps.

    Args:
      records: as ``runtime.read_metrics`` gives them.
      panels: those that are wanted, in order.
      title: above all panels.

    Returns:
      The figure, three panels a row.

    Raises:
      InputError: no record has any of the quantities.

    >>> records = [{"step": s, "kind": "train", "loss": 1 / s} for s in (1, 2)]
    >>> panel = Panel("loss (nats)", [Line("train", "loss")])
    >>> len(record_panels(records, [panel, Panel("x", [Line("test", "x")])]).axes)
    1
    """
    drawn = [(p, _series(records, p)) for p in panels]
    drawn = [(panel, series) for panel, series in drawn if series]
    if not drawn:
        raise InputError("no metrics to draw: the run has no records yet")
    from matplotlib.figure import Figure

    columns = min(3, len(drawn))
    rows = -(-len(drawn) // columns)
    size = (3.9 * columns + 0.4, 2.7 * rows + (0.3 if title else 0))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (panel, series) in zip(grid, drawn, strict=False):
        _draw(axes, panel, series)
    for axes in grid[len(drawn) :]:
        axes.remove()
    if title:
        figure.suptitle(title)
    return figure


def _series(
    records: Sequence[Mapping[str, Any]], panel: Panel
) -> list[tuple[Line, np.ndarray, np.ndarray]]:
    found = []
    for line in panel.lines:
        rows = [r for r in records if r.get("kind") == line.kind and line.name in r]
        if rows:
            steps = np.array([r["step"] for r in rows])
            each = [np.atleast_1d(floats(r[line.name])) for r in rows]
            if len({len(values) for values in each}) > 1:
                # One number where all seeds agree.
                each = [np.array([np.mean(values)]) for values in each]
            found.append((line, steps, panel.scale * np.stack(each)))
    return found


def _draw(axes: Any, panel: Panel, series: Sequence[Any]) -> None:
    tests = trained = 0
    for line, steps, values in series:
        if panel.log:
            values = np.where(values > 0, values, np.nan)
        style: dict[str, Any] = {"linewidth": 1.6, **_OF_TRAINING[trained]}
        if line.kind == "train":
            trained = (trained + 1) % len(_OF_TRAINING)
        if line.kind == "test":
            color = PALETTE[tests % len(PALETTE)]
            style = {"color": color, "marker": "o", "markersize": 3.5, "linewidth": 1.6}
            style["markevery"] = max(1, len(steps) // 25)
            tests += 1
        elif len(series) == 1:
            style = {"color": PALETTE[0], "linewidth": 1.6}
        if len(steps) == 1:
            style["marker"] = "o"
        if values.shape[1] > 1:
            axes.plot(steps, values, color=style["color"], linewidth=0.6, alpha=0.4)
        axes.plot(steps, values.mean(axis=1), label=line.label, **style)
    if panel.log and any(np.isfinite(v).any() and (v > 0).any() for _, _, v in series):
        axes.set_yscale("log")
        round_log_ticks(axes.yaxis)
    axes.set_xlabel("step")
    axes.set_ylabel(panel.ylabel)
    plain(axes)
    if any(line.label for line, _, _ in series):
        axes.legend(frameon=False, fontsize="small")
