"""The tables at the end, and the file of what they say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.studies.sharpness import rows
from experiments.studies.sharpness.claims import Results, Verdict
from experiments.studies.sharpness.columns import Column, Result, equal_radius, tuned
from experiments.studies.sharpness.config import Config, Panel
from experiments.studies.tables import print_table
from jaxopt_lab.lab.statistics import bootstrap_interval


def record(
    config: Config, results: Results, verdicts: Sequence[Verdict]
) -> dict[str, Any]:
    """What the tables say, for programs.

    Args:
      config: the size of the experiment.
      results: by names of panel, column and row.
      verdicts: the verdicts.

    Returns:
      A tree that JSON takes.
    """
    panels = {panel.name: panel for panel in config.panels}
    by_name = {row.name: row for row in rows.ROWS}
    measured = []
    for (panel, column, name), found in results.items():
        setting = rows.settings(by_name[name], panels[panel])[found.chosen]
        measured.append(
            {
                "panel": panel,
                "column": column,
                "method": name,
                "gradients": by_name[name].gradients,
                "setting": setting._asdict(),
                "at_the_edge": found.at_the_edge,
                "values": np.asarray(found.values).tolist(),
                "curve": np.asarray(found.curve).tolist(),
            }
        )
    said = [
        {
            "panel": v.claim.column.panel,
            "column": v.claim.column.name,
            "better": v.claim.better,
            "worse": v.claim.worse,
            "gain": v.gain,
            "low": v.low,
            "high": v.high,
            "verdict": v.word,
        }
        for v in verdicts
    ]
    return {"results": measured, "verdicts": said}


def show(config: Config, results: Results, verdicts: Sequence[Verdict]) -> None:
    """Print the tables of all panels, and the verdicts.

    Args:
      config: the size of the experiment.
      results: by names of panel, column and row.
      verdicts: the verdicts.
    """
    for panel in config.panels:
        for columns in _groups(panel):
            _print(panel, columns, config, results)
    said = []
    for v in verdicts:
        column = v.claim.column
        factor, unit = (1, " ln") if column.flat else (100, "")
        gain, low, high = (factor * x for x in (v.gain, v.low, v.high))
        said.append(
            (
                column.panel,
                column.name,
                f"{v.claim.better} {'flatter' if column.flat else '>'} {v.claim.worse}",
                f"{gain:+.2f} ({low:+.2f} to {high:+.2f}){unit}",
                v.word,
            )
        )
    print_table(
        "claims, paired over seeds; gain in points of accuracy, or in ln of the ratio "
        "where flatter is better",
        ("panel", "column", "claim", "gain", "verdict"),
        said,
    )


def _groups(panel: Panel) -> list[list[Column]]:
    """Columns that fit beside each other."""
    by_radius = [
        [c for c in equal_radius(panel) if c.rho == rho] for rho in panel.equal_radii
    ]
    return [tuned(panel), *by_radius]


def _print(
    panel: Panel, columns: Sequence[Column], config: Config, results: Results
) -> None:
    wrong = f", {100 * panel.flipped:g} % wrong labels" if panel.flipped else ""
    title = (
        f"{panel.name}{wrong}: test accuracy (%), {panel.seeds} seeds; * setting at "
        "the edge of its grid"
    )
    if panel.flatness and columns[0].rho is None:
        title += "; flatness where clean accuracy is best, geometric means"
    lines = []
    for row in rows.of(panel):
        found = [results.get((panel.name, c.name, row.name)) for c in columns]
        if not any(found):
            continue
        cells = [_cell(*pair, config) for pair in zip(columns, found, strict=True)]
        lines.append((row.name, f"{row.gradients:g}", *cells))
    print_table(title, ("method", "gradients", *(c.name for c in columns)), lines)


def _cell(column: Column, found: Result | None, config: Config) -> str:
    if found is None:
        return "-"
    values = found.values
    if column.flat:
        return f"{np.exp(np.mean(np.log(np.maximum(values, 1e-30)))):.3g}"
    low, high = bootstrap_interval(
        values, confidence=config.confidence, resamples=config.resamples
    )
    edge = "*" if found.at_the_edge else ""
    return f"{100 * values.mean():.2f}{edge} ({100 * low:.2f} to {100 * high:.2f})"
