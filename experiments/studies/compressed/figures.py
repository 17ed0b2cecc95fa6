"""Loss along training, and loss against bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments.harness import figures
from jaxopt_lab.plotting import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SMOOTH = 10
_FAR = 1.0


def curves(panel: str, found: Mapping[str, np.ndarray]) -> Figure:
    """Training loss of each method at its rate, mean over seeds.

    Args:
      panel: its name.
      found: losses by method, shape ``(seeds, steps)``.

    Returns:
      The figure.
    """
    figure, ((axes,),) = figures.grid(1, 1, 7.0, 4.2)
    top, least = 0.0, np.inf
    chosen = figures.look_of(list(found))
    for name, losses in found.items():
        mean = losses.mean(axis=0)
        top = max(top, float(mean[0]))
        width = min(_SMOOTH, len(mean))
        smooth = np.convolve(mean, np.ones(width) / width, mode="valid")
        least = min(least, float(np.nanmin(smooth, initial=np.inf)))
        axes.plot(
            np.arange(len(smooth)) + width,
            smooth,
            label=name,
            **chosen[name].line(len(smooth)),
        )
    # A method that diverges leaves the picture instead of flattening the others.
    least = min(least, top)
    axes.set_ylim(least - 0.05 * (top - least), top + 0.05 * (top - least) + 1e-6)
    axes.set_xlabel(f"step (mean over {_SMOOTH} steps)")
    axes.set_ylabel("training loss (nats)")
    axes.set_title(panel)
    style.plain(axes)
    figures.legend_right(figure, axes)
    return figure


def price(
    panel: str,
    names: Sequence[str],
    size: Sequence[float],
    loss: Sequence[float],
    interval: Sequence[tuple[float, float]],
) -> Figure:
    """Held-out loss against the bytes of optimizer state.

    Args:
      panel: its name.
      names: of the methods; the first is the one that the others are compared with.
      size: bytes of state per parameter.
      loss: after training, nats; a method that diverged, or is more than one nat
        behind the first, is named below the title: it would flatten the others.
      interval: of each loss.

    Returns:
      The figure.
    """
    figure, ((axes,),) = figures.grid(1, 1, 7.0, 4.2)
    gone = []
    rows = zip(names, size, loss, interval, strict=True)
    chosen = figures.look_of(list(names))
    for name, x, y, (low, high) in rows:
        if not np.isfinite(y) or y > loss[0] + _FAR:
            gone.append(f"{name} ({y:.3g})" if np.isfinite(y) else f"{name} (diverged)")
            continue
        axes.errorbar(
            x,
            y,
            [[max(y - low, 0.0)], [max(high - y, 0.0)]],
            fmt=chosen[name].marker,
            color=chosen[name].color,
            capsize=2,
            label=name,
        )
    figures.log_places(axes, [0.1, 0.5, 1, 2, 4, 8])
    axes.set_xlabel("optimizer state (bytes per parameter)")
    axes.set_ylabel("held-out loss (nats, 95 % interval over seeds)")
    axes.set_title(panel + (f"\nbeyond: {', '.join(gone)}" if gone else ""))
    style.plain(axes)
    figures.legend_right(figure, axes)
    return figure
