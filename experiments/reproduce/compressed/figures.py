"""Loss along training, and loss against bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from jaxopt_lab.plotting import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SMOOTH = 10


def curves(panel: str, found: Mapping[str, np.ndarray]) -> Figure:
    """Training loss of each method at its rate, mean over seeds.

    Args:
      panel: its name.
      found: losses by method, shape ``(seeds, steps)``.

    Returns:
      The figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.2), layout="constrained")
    axes = figure.subplots()
    top = 0.0
    for i, (name, losses) in enumerate(found.items()):
        mean = losses.mean(axis=0)
        top = max(top, float(mean[0]))
        width = min(_SMOOTH, len(mean))
        smooth = np.convolve(mean, np.ones(width) / width, mode="valid")
        axes.plot(
            np.arange(len(smooth)) + width,
            smooth,
            color=style.PALETTE[i % len(style.PALETTE)],
            linestyle=style.DASHES[i // len(style.PALETTE)],
            label=name,
        )
    # A method that diverges leaves the picture instead of flattening the others.
    axes.set_ylim(top=1.1 * top)
    axes.set_xlabel(f"step (mean over {_SMOOTH} steps)")
    axes.set_ylabel("training loss (nats)")
    axes.set_title(panel)
    style.plain(axes)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper")
    return figure


def price(
    panel: str, names: Sequence[str], size: Sequence[float], loss: Sequence[float]
) -> Figure:
    """Held-out loss against the bytes of optimizer state.

    Args:
      panel: its name.
      names: of the methods.
      size: bytes of state per parameter.
      loss: after training, nats; methods that diverged are named below the title.

    Returns:
      The figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, 4.2), layout="constrained")
    axes = figure.subplots()
    gone = []
    for i, (name, x, y) in enumerate(zip(names, size, loss, strict=True)):
        if not np.isfinite(y):
            gone.append(name)
            continue
        color = style.PALETTE[i % len(style.PALETTE)]
        axes.plot(x, y, "o", color=color)
        axes.annotate(
            name, (x, y), textcoords="offset points", xytext=(5, 4), color=color
        )
    axes.margins(x=0.2)
    axes.set_xlabel("optimizer state (bytes per parameter)")
    axes.set_ylabel("held-out loss (nats)")
    axes.set_title(panel + (f"\ndiverged: {', '.join(gone)}" if gone else ""))
    style.plain(axes)
    return figure
