"""Loss surfaces: contours side by side, and in three dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.plotting.style import POINT, round_numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Panel = tuple[ArrayLike, ArrayLike, ArrayLike]


def loss_contours(
    panels: Mapping[str, Panel],
    *,
    columns: int = 3,
    log: bool = True,
    highest: float | None = None,
    paths: Mapping[str, ArrayLike] | None = None,
    xlabel: str | Mapping[str, str] = "first direction",
    ylabel: str | Mapping[str, str] = "second direction",
    label: str = "loss (nats)",
    title: str = "",
) -> Figure:
    """Contours of the loss on planes, side by side on ONE scale of colours.

    Args:
      panels: by title: coordinates along the first direction (n), along the second
        (m), and losses (n, m), as ``curvature.plane`` gives them. The trained point,
        at (0, 0), is marked if inside. Losses that are not finite are
        grey.
      columns: panels in a row.
      log: colours by the logarithm; losses must then be above 0.
      highest: the loss at which the colours saturate; ``None``: the highest of all,
        with which one steep panel uses up the range of colours.
      paths: by the same titles: points (steps, 2) of a training run in the plane.
      xlabel: name of the first direction, with its unit; the same for all panels, or
        by title. Panels under or beside one another that share it show it once.
      ylabel: name of the second.
      label: name of the losses, with their unit.
      title: above all panels.

    Returns:
      The figure; ``figure.savefig(path)`` writes it.

    Raises:
      InputError: there is no panel, shapes do not fit, no loss is finite, or one is not
        above 0 on a logarithmic scale.

    >>> at = np.linspace(-1.0, 1.0, 5)
    >>> bowl = 0.1 + at[:, None] ** 2 + at[None] ** 2
    >>> figure = loss_contours({"sgd": (at, at, bowl)})
    >>> [axes.get_title() for axes in figure.axes][:1]
    ['sgd']
    """
    arrays = {name: _panel(name, *panel) for name, panel in panels.items()}
    if not arrays:
        raise InputError("no surfaces to draw")
    levels, norm = _levels([z for *_, z in arrays.values()], log, highest)
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    wide = min(columns, len(arrays))
    high = -(-len(arrays) // wide)
    # Space for the colour bar beside the panels and for two-line titles above them.
    size = (3.0 * wide + 1.3, 3.5 * high + 0.3)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(high, wide, squeeze=False, sharex=False, sharey=False)
    drawn: Any = None
    for axes, (name, (x, y, z)) in zip(grid.ravel(), arrays.items(), strict=False):
        masked = np.ma.masked_invalid(z.T)
        axes.set_facecolor("0.8")
        drawn = axes.contourf(
            x, y, masked, levels=levels, norm=norm, cmap="viridis", extend="max"
        )
        axes.contour(x, y, masked, levels=levels[::2], colors="white", linewidths=0.5)
        if paths and name in paths:
            steps = np.asarray(paths[name], float)
            axes.plot(*steps.T, color="white", linewidth=2.4)
            axes.plot(*steps.T, color="black", linewidth=1.0, marker=".", markersize=3)
        if x.min() <= 0 <= x.max() and y.min() <= 0 <= y.max():
            axes.plot(0.0, 0.0, **POINT)
        axes.set_title(name)
        axes.set_xlim(x.min(), x.max())
        axes.set_ylim(y.min(), y.max())
        axes.set_box_aspect(1)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_locator(MaxNLocator(4))
    for axes in grid.ravel()[len(arrays) :]:
        axes.remove()
    across, upward = (
        [text if isinstance(text, str) else text[name] for name in arrays]
        for text in (xlabel, ylabel)
    )
    for i in range(len(arrays)):
        row, column = divmod(i, wide)
        if i + wide >= len(arrays) or across[i + wide] != across[i]:
            grid[row, column].set_xlabel(across[i])
        if column == 0 or upward[i - 1] != upward[i]:
            grid[row, column].set_ylabel(upward[i])
    bar = figure.colorbar(drawn, ax=list(figure.axes), label=label, shrink=0.9)
    if log:
        ticks = round_numbers(levels[0], levels[-1])
        bar.set_ticks(ticks, labels=[f"{v:.3g}" for v in ticks])
    else:
        bar.locator = MaxNLocator(6)
        bar.update_ticks()
    bar.ax.minorticks_off()
    if title:
        figure.suptitle(title)
    return figure


def loss_surface(
    first: ArrayLike,
    second: ArrayLike,
    losses: ArrayLike,
    *,
    log: bool = True,
    highest: float | None = None,
    xlabel: str = "first direction",
    ylabel: str = "second direction",
    label: str = "loss (nats)",
    title: str = "",
) -> Figure:
    """The loss on a plane as a surface in three dimensions.

    Args:
      first: see ``loss_contours``.
      second: see ``loss_contours``.
      losses: see ``loss_contours``.
      log: the height is the logarithm to base 10, and the axis says so.
      highest: loss at which the surface is cut off; ``None``: nowhere.
      xlabel: see ``loss_contours``.
      ylabel: see ``loss_contours``.
      label: name of the height, with its unit.
      title: above the figure.

    Returns:
      The figure, with contours below the surface and the trained point marked on it.

    Raises:
      InputError: as ``loss_contours``.

    >>> at = np.linspace(-1.0, 1.0, 5)
    >>> figure = loss_surface(at, at, 0.1 + at[:, None] ** 2 + at[None] ** 2)
    >>> figure.axes[0].get_zlabel()
    'log10 of loss (nats)'
    """
    x, y, z = _panel("losses", first, second, losses)
    levels, _ = _levels([z], log, highest)
    height = np.where(np.isfinite(z), np.minimum(z, levels[-1]), np.nan)
    if log:
        height, levels = np.log10(height), np.log10(levels)
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(6.4, 5.2), layout="constrained")
    axes: Any = figure.add_subplot(projection="3d")
    across, along = np.meshgrid(x, y, indexing="ij")
    span = levels[-1] - levels[0]
    bottom = levels[0] - 0.25 * span
    axes.plot_surface(
        across,
        along,
        height,
        cmap="viridis",
        vmin=levels[0],
        vmax=levels[-1],
        rstride=1,
        cstride=1,
        linewidth=0.2,
        edgecolor=(1, 1, 1, 0.35),
    )
    axes.contour(
        across,
        along,
        np.ma.masked_invalid(height),
        levels=levels[::2],
        cmap="viridis",
        offset=bottom,
        linewidths=0.8,
    )
    middle = np.flatnonzero(x == 0), np.flatnonzero(y == 0)
    if all(len(found) for found in middle):
        at = float(height[middle[0][0], middle[1][0]])
        axes.plot([0, 0], [0, 0], [bottom, at], color="black", linewidth=0.8, zorder=9)
        axes.plot([0], [0], [at], zorder=10, **POINT)
        axes.plot([0], [0], [bottom], zorder=10, **POINT)
    axes.set_zlim(bottom, levels[-1])
    axes.set_xlabel(xlabel, labelpad=8)
    axes.set_ylabel(ylabel, labelpad=8)
    axes.set_zlabel(f"log10 of {label}" if log else label, labelpad=6)
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.set_major_locator(MaxNLocator(5))
    axes.view_init(elev=28, azim=-58)
    axes.set_box_aspect(None, zoom=0.86)
    if title:
        axes.set_title(title)
    return figure


def _panel(name: str, first: ArrayLike, second: ArrayLike, losses: ArrayLike) -> Any:
    x, y, z = (np.asarray(a, float) for a in (first, second, losses))
    if x.ndim != 1 or y.ndim != 1 or z.shape != (x.size, y.size) or min(z.shape) < 2:
        raise InputError(
            f"{name!r} must be coordinates (n), (m) and losses (n, m), at least 2 x 2; "
            f"got shapes {x.shape}, {y.shape}, {z.shape}"
        )
    return x, y, z


def _levels(surfaces: list[np.ndarray], log: bool, highest: float | None) -> Any:
    """Edges of the colour levels, and the function from a loss to its level."""
    from matplotlib.colors import LogNorm, Normalize

    values = np.concatenate([z[np.isfinite(z)] for z in surfaces])
    if not values.size:
        raise InputError("losses must be finite somewhere; none is")
    low = float(values.min())
    high = float(values.max()) if highest is None else highest
    if log and low <= 0:
        raise InputError(
            f"losses must be above 0 on a logarithmic scale; the lowest is {low:g}"
        )
    if not high > low:
        # A constant surface has no contours; any span works.
        high = low + max(abs(low), 1.0) * 1e-6
    spaced = np.geomspace if log else np.linspace
    norm = LogNorm(low, high) if log else Normalize(low, high)
    return spaced(low, high, 21), norm
