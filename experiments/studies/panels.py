"""Tables and figures of arms over seeds, means with Student's 95 % intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from experiments.harness import figures as style
from experiments.harness.report import Table
from jaxopt_lab.lab.statistics import mean_interval

_NAMED = 6
"""Places of a logarithmic axis that all get a label."""

Arms = Mapping[str, np.ndarray]
"""Values by arm: ``(seeds,)``, or ``(places, seeds)`` along a line."""


def arms_table(title: str, measures: Mapping[str, Arms], first: str = "arm") -> Table:
    """A row for each arm, a column for each measure.

    Args:
      title: stands above.
      measures: values ``(seeds,)`` by arm, by measure.
      first: heading of the arms.

    Returns:
      The table; a dash where an arm has no such measure.

    >>> arms_table("t", {"error": {"a": np.array([1.0, 3.0])}}).rows
    [('a', '2 ± 13')]
    """
    arms = dict.fromkeys(arm for values in measures.values() for arm in values)

    def cell(values: Arms, arm: str) -> str:
        if arm not in values:
            return "-"
        mean, half = mean_interval(values[arm])
        return f"{mean:.4g} ± {half:.2g}"

    rows = [(arm, *(cell(values, arm) for values in measures.values())) for arm in arms]
    return Table(title, (first, *measures), rows)


def dots(
    measures: Mapping[str, Arms],
    height: float = 0.32,
    *,
    label: str = "",
    scale: float = 1.0,
) -> style.Figure:
    """A panel for each measure, a line for each arm.

    Args:
      measures: values ``(seeds,)`` by arm, by label of the axis; all with the same
        arms.
      height: of a line, in inches.
      label: of every axis; the names of the measures are titles then.
      scale: factor on the values.

    Returns:
      The figure.
    """
    arms = list(next(iter(measures.values())))
    figure, (axes,) = style.grid(
        1, len(measures), 2.0 + 2.9 * len(measures), 0.9 + height * len(arms)
    )
    for i, (ax, (name, values)) in enumerate(zip(axes, measures.items(), strict=True)):
        found = [mean_interval(values[arm]) for arm in arms]
        ax.errorbar(
            [scale * x.mean for x in found],
            range(len(arms)),
            xerr=scale * np.nan_to_num([x.half for x in found]),
            fmt="o",
            color=style.BLUE,
            capsize=3,
        )
        ax.set_yticks(range(len(arms)), arms if i == 0 else [""] * len(arms))
        ax.set_ylim(len(arms) - 0.5, -0.5)
        ax.locator_params(axis="x", nbins=5)
        ax.set_xlabel(label or name)
        if label:
            ax.set_title(name, fontsize="medium")
        style.tidy(ax)
    return figure


def lines(
    panels: Mapping[str, Arms],
    places: Sequence[float] | np.ndarray,
    labels: tuple[str, str],
    scales: tuple[str, str] = ("linear", "linear"),
) -> style.Figure:
    """A panel for each condition, a line for each arm.

    Args:
      panels: values ``(places, seeds)`` by arm, by title of the panel.
      places: along the lines.
      labels: of both axes.
      scales: of both axes, of matplotlib.

    Returns:
      The figure, its legend in the first panel.
    """
    figure, (axes,) = style.grid(1, len(panels), 1.0 + 3.6 * len(panels), 3.6)
    looks = style.look_of(list(next(iter(panels.values()))))
    for ax, (title, arms) in zip(axes, panels.items(), strict=True):
        for arm, values in arms.items():
            found = [mean_interval(row) for row in values]
            mean = np.array([x.mean for x in found])
            half = np.nan_to_num(np.array([x.half for x in found]))
            look = looks[arm]
            ax.plot(places, mean, label=arm, **look.line(len(mean), len(mean)))
            ax.fill_between(
                places, mean - half, mean + half, color=look.color, alpha=0.12
            )
        ax.set_title(title)
        if scales[0] == "log" and len(places) <= _NAMED:
            style.log_places(ax, places)
        else:
            ax.set_xscale(scales[0])
        ax.set_yscale(scales[1])
        ax.set_xlabel(labels[0])
        style.tidy(ax)
    axes[0].set_ylabel(labels[1])
    axes[0].legend(frameon=False)
    return figure
