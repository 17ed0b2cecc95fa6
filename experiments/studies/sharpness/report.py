"""The tables, the figures, and the file of what they say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.harness.report import Report, Table
from experiments.studies.sharpness import columns, rows
from experiments.studies.sharpness.columns import Column, Measured, Result, Results
from experiments.studies.sharpness.config import Config, Panel
from experiments.studies.sharpness.redundancy import Agreement, redundancy
from jaxopt_lab.lab.statistics import mean_interval


def report(measured: Measured, config: Config) -> Report:
    """Numbers, tables and figures; see ``Experiment.report``."""
    from experiments.studies.sharpness import figures

    results = columns.results(measured, config)
    alike = {
        panel.name: agreement
        for panel in config.panels
        if (agreement := redundancy(measured[panel.name], panel)) is not None
    }
    tables = [
        _table(panel, group, config, results)
        for panel in config.panels
        for group in _groups(panel)
    ]
    if alike:
        tables.append(_alike(alike))
    drawn = {
        panel.name: figures.radius_curves(panel, rows.of(panel), results, config.seeds)
        for panel in config.panels
    }
    record = {"results": _results(config, results), "alpha": alike}
    return Report(record, tables, drawn)


def _results(config: Config, results: Results) -> list[dict[str, Any]]:
    panels = {panel.name: panel for panel in config.panels}
    by_name = {row.name: row for row in rows.ROWS}
    return [
        {
            "panel": panel,
            "column": column,
            "method": name,
            "gradients": by_name[name].gradients,
            "setting": rows.settings(by_name[name], panels[panel])[found.chosen],
            **found._asdict(),
        }
        for (panel, column, name), found in results.items()
    ]


def _alike(found: dict[str, Agreement]) -> Table:
    return Table(
        "lookbehind with alpha 0.5 and 0.2 at equal alpha * step size, no decay",
        ("panel", "runs", "of equal accuracy", "largest difference (points)"),
        [
            (name, str(a.runs), str(a.equal), f"{100 * a.largest:.2f}")
            for name, a in found.items()
        ],
    )


def _groups(panel: Panel) -> list[list[Column]]:
    """Columns that fit beside each other."""
    equal = columns.equal_radius(panel)
    by_radius = [[c for c in equal if c.rho == rho] for rho in panel.equal_radii]
    return [columns.tuned(panel), *by_radius]


def _table(
    panel: Panel, group: Sequence[Column], config: Config, results: Results
) -> Table:
    wrong = f", {100 * panel.flipped:g} % wrong labels" if panel.flipped else ""
    title = (
        f"{panel.name}{wrong}: test accuracy (%), {config.seeds} seeds, 95 % "
        "intervals; * setting at the edge of its grid"
    )
    if panel.flatness and group[0].rho is None:
        title += "; flatness where clean accuracy is best, geometric means"
    lines = []
    for row in rows.of(panel):
        found = [results.get((panel.name, c.name, row.name)) for c in group]
        if any(found):
            cells = [_cell(*pair) for pair in zip(group, found, strict=True)]
            lines.append((row.name, f"{row.gradients:g}", *cells))
    return Table(title, ("method", "gradients", *(c.name for c in group)), lines)


def _cell(column: Column, found: Result | None) -> str:
    if found is None:
        return "-"
    if column.flat:
        return f"{np.exp(np.mean(np.log(np.maximum(found.values, 1e-30)))):.3g}"
    mean, half = mean_interval(found.values)
    edge = "*" if found.at_the_edge else ""
    return f"{100 * mean:.2f}{edge} ± {100 * half:.2f}"
