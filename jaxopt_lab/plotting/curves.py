"""Training curves: loss and accuracy against the step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.plotting.style import PALETTE, Look

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LOOKS = {
    "train": Look("#8a8f98", "", "--"),
    "test": Look(PALETTE[0], "o", "-"),
}
"""Lighter and dashed, darker and with dots: a print in grey can be read too."""


def training_curves(records: Sequence[Mapping[str, Any]], title: str = "") -> Figure:
    """Loss (logarithmic) and accuracy against the step, training beside test.

    With several seeds, each is a thin line and their mean a thick one.

    Args:
      records: as ``runtime.read_metrics`` gives them: ``step``, ``kind``
        (``"train"`` or ``"test"``), ``loss`` in nats, ``accuracy`` in 0 to 1; each a
        number or a list with one for each seed.
      title: above both panels.

    Returns:
      The figure; ``figure.savefig(path)`` writes it.

    Raises:
      InputError: there is no record to draw.

    >>> records = [{"step": s, "kind": "test", "loss": 1 / s, "accuracy": 0.5}
    ...            for s in (1, 2)]
    >>> [axes.get_ylabel() for axes in training_curves(records).axes]
    ['loss (nats)', 'accuracy (%)']
    """
    if not records:
        raise InputError("no metrics to draw: the run has no records yet")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    loss_axes, accuracy_axes = figure.subplots(1, 2)
    for kind, look in _LOOKS.items():
        _draw(loss_axes, records, kind, "loss", look, 1.0)
        _draw(accuracy_axes, records, kind, "accuracy", look, 100.0)
    loss_axes.set_yscale("log")
    loss_axes.set_ylabel("loss (nats)")
    accuracy_axes.set_ylabel("accuracy (%)")
    for axes in (loss_axes, accuracy_axes):
        axes.set_xlabel("step")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.lines:
            axes.legend(frameon=False)
    if title:
        figure.suptitle(title)
    return figure


def _draw(
    axes: Any,
    records: Sequence[Mapping[str, Any]],
    kind: str,
    name: str,
    look: Look,
    scale: float,
) -> None:
    rows = [r for r in records if r.get("kind") == kind and name in r]
    if not rows:
        return
    steps = np.array([r["step"] for r in rows])
    values = scale * np.stack([np.atleast_1d(floats(r[name])) for r in rows])
    seeds = values.shape[1]
    if seeds > 1:
        axes.plot(steps, values, color=look.color, linewidth=0.7, alpha=0.4)
    line = look.line(len(rows), shown=30)
    if len(rows) == 1:
        line["marker"] = look.marker or "s"  # a line of one point is not seen
    label = kind if seeds == 1 else f"{kind}, mean of {seeds} seeds"
    axes.plot(
        steps,
        values.mean(axis=1),
        linewidth=2.0,
        label=label,
        **line,
    )


def floats(value: Any) -> np.ndarray:
    """A recorded value as numbers, one for each seed.

    Args:
      value: a number or a list; what is not finite is text or null in the file.

    Returns:
      Its numbers in one dimension.

    >>> floats([1.0, None, "Infinity"]).tolist()
    [1.0, nan, inf]
    """
    return np.array(
        [np.nan if v is None else float(v) for v in np.ravel(np.array(value, object))]
    )
