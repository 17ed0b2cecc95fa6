"""Growth against the learning rate, and independent runs that mislead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.harness import figures as style
from experiments.studies.stability.config import Config
from experiments.studies.stability.measure import Line, Plain
from jaxopt_lab.lab.statistics import mean_interval

_COLORS = (style.BLUE, style.ORANGE, style.GREEN, style.VIOLET, style.OCHRE)
_MARKERS = ("o", "s", "^", "D", "v")


def growth_curves(lines: Sequence[Line]) -> style.Figure:
    """Measured and predicted growth, a panel for each problem, a colour for each B.

    Markers are measured, with intervals over the repetitions; curves are the logarithm
    of the spectral radius. Vertical lines: solid, the exact threshold; dashed, the
    coherence test, of Bernoulli sampling alone; dotted, 2 over the largest eigenvalue.

    Args:
      lines: measurements under one sampling.

    Returns:
      The figure.
    """
    names = list(dict.fromkeys(line.problem for line in lines))
    figure, grid = style.grid(1, len(names), 5.2 * len(names), 4.6)
    for axes, name in zip(grid[0], names, strict=True):
        mine = [line for line in lines if line.problem == name]
        for line, *look in zip(mine, _COLORS, _MARKERS, strict=False):
            _draw(axes, line, *look)
        axes.axvline(mine[0].gradient_descent, color="black", linestyle=":")
        axes.axhline(0.0, color="black", linewidth=0.8)
        axes.set_xscale("log")
        _ticks(axes)
        axes.set_title(f"{name}, n = {mine[0].examples}")
        axes.set_xlabel("learning rate")
        axes.set_ylabel("growth of ln mean square in a step")
        style.tidy(axes, lines=False)
        # Below the axes: inside, it covers a threshold.
        count = len(mine)
        place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.14)}
        axes.legend(frameon=False, ncols=count, **place)
    sampling = lines[0].sampling
    dashed = "dashed coherence test, " if sampling == "bernoulli" else ""
    figure.suptitle(
        f"sampling: {sampling.replace('_', ' ')}; markers measured, curves predicted; "
        f"vertical lines: solid exact, {dashed}" + r"dotted $2/\lambda_1(H)$"
    )
    return figure


def _ticks(axes: Any) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _draw(axes: Any, line: Line, color: str, marker: str) -> None:
    intervals = [mean_interval(v) for v in line.measured]
    axes.plot(line.rates, line.predicted, color=color, linewidth=1.0, alpha=0.7)
    axes.errorbar(
        line.rates,
        [i.mean for i in intervals],
        [i.half for i in intervals],
        fmt=marker,
        markersize=4,
        color=color,
        label=f"B = {line.batch_size}",
    )
    axes.axvline(line.exact, color=color, linewidth=1.2)
    if line.sampling == "bernoulli":
        axes.axvline(line.coherence, color=color, linewidth=1.2, linestyle="--")


def plain_runs(plain: Plain, config: Config) -> style.Figure:
    """Independent runs above the threshold: median, spread, their mean, the truth.

    Args:
      plain: the runs.
      config: the size of the study.

    Returns:
      The figure.
    """
    figure, ((axes,),) = style.grid(1, 1, 6.4, 4.2)
    runs, growth = plain.runs, plain.growth
    logs = np.asarray(runs.log_squares)
    steps = np.arange(1, len(logs) + 1)
    low, middle, high = np.quantile(logs, [0.05, 0.5, 0.95], axis=1)
    axes.fill_between(steps, low, high, color=_COLORS[0], alpha=0.2, linewidth=0)
    axes.plot(steps, middle, color=_COLORS[0], label="median run, 5 to 95 %")
    axes.plot(
        steps,
        runs.log_mean_square,
        color=_COLORS[1],
        label=f"mean of {logs.shape[1]} runs",
    )
    axes.plot(steps, growth * steps, color="black", label="true mean square")
    axes.axhline(0.0, color="black", linewidth=0.8)
    axes.set_xlabel("step")
    axes.set_ylabel(r"$\ln \|w\|^2$")
    axes.set_title(
        f"{plain.problem}, B = {config.plain_batch_size}, "
        f"{config.plain_factor:g} of the exact threshold"
    )
    style.tidy(axes, lines=False)
    axes.legend(frameon=False)
    return figure
