"""Result of a tuning: the record, the table, the warning and the figure."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxopt_lab.lab import command_line, runs
from jaxopt_lab.lab.statistics import mean_interval
from jaxopt_lab.lab.tuning.axes import Grid, accepted
from jaxopt_lab.lab.tuning.edge import Edge, edge
from jaxopt_lab.lab.tuning.grid_search import Options
from jaxopt_lab.lab.tuning.halving import Scored, best
from jaxopt_lab.lab.tuning.settings import with_values

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def identity(grid: Grid, options: Options) -> dict[str, Any]:
    """Everything that the scores of a tuning depend on.

    Args:
      grid: the settings.
      options: of the search.

    Returns:
      What JSON can hold.
    """
    settings = runs.settings_of(grid.groups[0].configuration)
    apart = {"save_every", *(axis.name for axis in grid.axes)}
    if options.devices == 1:
        apart.add("devices")  # as before there was the option
    return {
        **{name: x for name, x in settings.items() if name not in apart},
        **{f"grid of {axis.name}": list(axis.texts) for axis in grid.axes},
        **{n: x for n, x in options._asdict().items() if n not in apart},
    }


def best_configuration(grid: Grid, chosen: Scored, val: float) -> dict[str, Any]:
    """The options of a run with the best setting, for ``train config=FILE``.

    Args:
      grid: the settings.
      chosen: the best.
      val: part of the training set that the run keeps aside.

    Returns:
      Options by name, as ``config.json`` of a run holds them.
    """
    for group in grid.groups:
        if chosen.setting in group.settings:
            row = group.settings.index(chosen.setting)
            numbers = {n: v[row] for n, v in grid.numbers(group).items()}
            found = with_values(group.configuration, numbers)
            return {**runs.settings_of(found), "val": val}
    raise AssertionError("a setting of no group")


def edges(grid: Grid, chosen: Scored) -> list[Edge]:
    """The axes at whose end the best setting stands.

    Args:
      grid: the settings.
      chosen: the best.

    Returns:
      Edges, in the order of the axes.
    """
    configuration = grid.groups[0].configuration
    found = []
    for axis, place in zip(grid.axes, grid.places(chosen.setting), strict=True):
        if axis.numbers is not None:
            interval = accepted(configuration, axis.name)
            one = edge(axis.name, axis.texts, axis.numbers, place, interval)
            found += [] if one is None else [one]
    return found


def wider_command(grid: Grid, found: Sequence[Edge], more: Sequence[str] = ()) -> str:
    """The command whose grid goes on beyond the edge.

    Args:
      grid: the settings.
      found: the edges.
      more: words of the tuning itself, without ``out``.

    Returns:
      One line for a shell.
    """
    wider = {e.option: ",".join(e.wider) for e in found}
    words = [f"{name}={wider.get(name, text)}" for name, text in grid.given.items()]
    program = command_line.program("tune")
    return " ".join([program, *(shlex.quote(word) for word in [*words, *more])])


def record(
    grid: Grid, scored: Sequence[Scored], options: Options, more: Sequence[str] = ()
) -> dict[str, Any]:
    """The result as ``results.json`` holds it.

    Args:
      grid: the settings.
      scored: the last validation of every setting.
      options: of the search.
      more: see ``wider_command``.

    Returns:
      What JSON can hold; the same for the same scores, without times.

    Raises:
      InputError: no setting ended with a finite loss.
    """
    run = grid.groups[0].configuration.run
    chosen = best(scored, options.score)
    found = edges(grid, chosen)
    return {
        "method": run.method,
        "task": run.task,
        "model": run.model,
        "steps": run.steps,
        "seeds": run.seeds,
        "val": run.val,
        "score": options.score,
        "halving": options.halving,
        "axes": [axis._asdict() for axis in grid.axes],
        "settings": [_row(grid, s) for s in scored],
        "best": _row(grid, chosen),
        "edge": [e._asdict() for e in found],
        "wider": wider_command(grid, found, more) if found else None,
    }


def _row(grid: Grid, scored: Scored) -> dict[str, Any]:
    return {
        "setting": grid.texts(scored.setting),
        "steps": scored.step,
        # JSON has no NaN.
        "accuracy": list(scored.accuracy),
        "loss": [x if math.isfinite(x) else None for x in scored.loss],
    }


def print_table(grid: Grid, scored: Sequence[Scored], options: Options) -> None:
    """Print every setting with its validation, the best one marked.

    Args:
      grid: the settings.
      scored: the last validation of every setting.
      options: of the search.
    """
    from rich.console import Console
    from rich.table import Table

    run = grid.groups[0].configuration.run
    chosen = best(scored, options.score)
    table = Table(title_justify="left")
    names = [axis.name for axis in grid.axes]
    for name in (*names, "steps", "validation accuracy", "loss (nats)", ""):
        table.add_column(name, justify="left" if name == "" else "right")
    ranked = sorted(
        scored, key=lambda s: (s.step, *s.rank(options.score)), reverse=True
    )
    for one in ranked:
        marked = one.setting == chosen.setting
        table.add_row(
            *grid.texts(one.setting).values(),
            str(one.step),
            _text(one.accuracy, 100, " %", ".2f"),
            _text(one.loss, 1, "", ".4f"),
            "best" if marked else "",
            style="bold" if marked else None,
        )
    seeds = "one seed: no interval" if run.seeds == 1 else f"{run.seeds} seeds, 95 %"
    table.caption = f"{100 * run.val:.3g} % of the training set aside; {seeds}"
    Console().print(table)


def _text(values: Sequence[float], scale: float, unit: str, form: str) -> str:
    mean, half = mean_interval(values)
    if not math.isfinite(mean):
        return "not finite"
    spread = "" if math.isnan(half) else f" ± {scale * half:{form}}"
    return f"{scale * mean:{form}}{spread}{unit}"


def figure(grid: Grid, scored: Sequence[Scored], options: Options) -> Figure:
    """The heat map of a tuning.

    Args:
      grid: the settings; the two axes with the most values are drawn, and the best of
        the others is taken in each cell.
      scored: the last validation of every setting.
      options: of the search.

    Returns:
      The figure.
    """
    from jaxopt_lab.plotting import heat_map

    run = grid.groups[0].configuration.run
    across, down = _drawn(grid)
    rows = [""] if down is None else list(grid.axes[down].texts)
    shape = (len(rows), len(grid.axes[across].texts))
    cells: dict[tuple[int, int], Scored] = {}
    for one in scored:
        places = grid.places(one.setting)
        cell = (0 if down is None else places[down], places[across])
        others = [one] if cell not in cells else [cells[cell], one]
        cells[cell] = max(others, key=lambda s: (s.step, *s.rank(options.score)))
    values, ended = np.full(shape, np.nan), np.zeros(shape, bool)
    chosen = best(scored, options.score)
    marked = (0, 0)
    for cell, one in cells.items():
        finite = math.isfinite(np.mean(one.loss))
        accuracy = 100 * float(np.mean(one.accuracy))
        score = accuracy if options.score == "accuracy" else float(np.mean(one.loss))
        values[cell] = score if finite else np.nan
        ended[cell] = one.step < run.steps
        marked = cell if one.setting == chosen.setting else marked
    open_ends = {e.option: e.side for e in edges(grid, chosen)}
    unit = "accuracy (%)" if options.score == "accuracy" else "loss (nats)"
    seeds = "one seed" if run.seeds == 1 else f"mean over {run.seeds} seeds"
    others = [a.name for i, a in enumerate(grid.axes) if i not in (across, down)]
    note = f", best over {', '.join(others)}" if others else ""
    legend = ["in brackets: left out before the end"] if ended.any() else []
    legend += ["broken line: the best stands at this edge"] if open_ends else []
    note += f"\n{'; '.join(legend)}" if legend else ""
    return heat_map(
        values,
        rows,
        grid.axes[across].texts,
        xlabel=grid.axes[across].name,
        ylabel="" if down is None else grid.axes[down].name,
        label=f"validation {unit}",
        best=marked,
        lower_is_better=options.score == "loss",
        ended=ended,
        edge=(
            "" if down is None else _end(grid, down, open_ends),
            _end(grid, across, open_ends),
        ),
        title=f"{run.method} on {run.task}, {run.steps} steps, {seeds}{note}",
    )


def _drawn(grid: Grid) -> tuple[int, int | None]:
    """The axis across and the axis down, those with the most values."""
    order = sorted(range(len(grid.axes)), key=lambda i: -grid.shape[i])
    if len(order) == 1:
        return order[0], None
    return order[0], order[1]


def _end(grid: Grid, axis: int, open_ends: dict[str, str]) -> str:
    """Whether the edge is at the first or the last value of an axis, or nowhere."""
    one = grid.axes[axis]
    side = open_ends.get(one.name, "")
    if not side or one.numbers is None:
        return ""
    extreme = min(one.numbers) if side == "smallest" else max(one.numbers)
    return "first" if one.numbers[0] == extreme else "last"


def write_figure(drawn: Figure, path: Path) -> None:
    """Save the figure.

    Args:
      drawn: the figure.
      path: of the picture.
    """
    drawn.savefig(path, dpi=130)
