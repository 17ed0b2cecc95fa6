"""``python -m experiments.reproduce.sharpness quick|full [out=FOLDER]``."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.reproduce.sharpness import rows
from experiments.reproduce.sharpness.claims import (
    Result,
    Verdict,
    claims,
    columns,
    result,
    verdict,
)
from experiments.reproduce.sharpness.config import CONFIGS, Config
from experiments.statistics import bootstrap_interval
from jaxopt_lab import errors

Results = dict[tuple[str, str], Result]

_WIDTH = 150


def run(config: Config, chosen: Sequence[rows.Row], folder: Path) -> list[Verdict]:
    """Train, choose, decide, draw.

    Args:
      config: the size of the experiment.
      chosen: the methods.
      folder: gets ``results.json`` and ``curves.png``; made if it is not there.

    Returns:
      The verdicts on the claims about these methods.
    """
    from experiments.reproduce.sharpness import figures, training
    from jaxopt_lab.training.data import load_digits

    laboratory = training.prepare(config, load_digits())
    results: Results = {}
    for row in chosen:
        began = time.perf_counter()
        scores = training.scores(row, laboratory)
        for column in columns(config):
            results[row.name, column.name] = result(row, scores, column, config)
        print(f"{row.name}: {time.perf_counter() - began:.0f} s", flush=True)
    names = {row.name for row in chosen}
    verdicts = [
        verdict(claim, results, config)
        for claim in claims(config)
        if {claim.better, claim.worse} <= names
    ]
    folder.mkdir(parents=True, exist_ok=True)
    figures.radius_curves(chosen, results, config).savefig(
        folder / "curves.png", dpi=110
    )
    record = _record(config, chosen, results, verdicts)
    (folder / "results.json").write_text(json.dumps(record, indent=2) + "\n")
    _print(config, chosen, results, verdicts)
    return verdicts


def _record(
    config: Config,
    chosen: Sequence[rows.Row],
    results: Results,
    verdicts: Sequence[Verdict],
) -> dict[str, Any]:
    measured = []
    for row in chosen:
        grid = rows.settings(row, config)
        for column in columns(config):
            found = results[row.name, column.name]
            measured.append(
                {
                    "method": row.name,
                    "gradients": row.gradients,
                    "column": column.name,
                    "setting": grid[found.chosen]._asdict(),
                    "at_the_edge": found.at_the_edge,
                    "test_accuracy": found.test.tolist(),
                    "settings": [setting._asdict() for setting in grid],
                    "curve": found.curve.tolist(),
                }
            )
    return {
        "config": dataclasses.asdict(config),
        "results": measured,
        "verdicts": [{**v._asdict(), "claim": v.claim._asdict()} for v in verdicts],
    }


def _print(
    config: Config,
    chosen: Sequence[rows.Row],
    results: Results,
    verdicts: Sequence[Verdict],
) -> None:
    from rich.console import Console
    from rich.table import Table

    # Not folded where there is no terminal.
    console = Console() if sys.stdout.isatty() else Console(width=_WIDTH)
    table = Table(
        title=f"test accuracy (%), {config.seeds} seeds; * setting at the edge of its "
        "grid",
        title_justify="left",
    )
    for heading in ("method", "gradients", *(c.name for c in columns(config))):
        table.add_column(heading)
    for row in chosen:
        cells = []
        for column in columns(config):
            found = results[row.name, column.name]
            low, high = bootstrap_interval(
                found.test, confidence=config.confidence, resamples=config.resamples
            )
            edge = "*" if found.at_the_edge else ""
            cells.append(
                f"{100 * found.test.mean():.2f}{edge} "
                f"({100 * low:.2f} to {100 * high:.2f})"
            )
        table.add_row(row.name, f"{row.gradients:g}", *cells)
    console.print(table)
    table = Table(title="claims, paired over seeds", title_justify="left")
    for heading in ("where", "claim", "difference, points", "verdict"):
        table.add_column(heading)
    for v in verdicts:
        table.add_row(
            v.claim.column,
            f"{v.claim.better} > {v.claim.worse}",
            f"{100 * v.difference:+.2f} ({100 * v.low:+.2f} to {100 * v.high:+.2f})",
            v.word,
        )
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
      arguments: the words after the program's name; ``None``: those of the process.

    Returns:
      Exit status: 0, or 2 for bad input.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    size = words.pop(0) if words else "quick"
    try:
        if size not in CONFIGS:
            raise errors.unknown("size", size, CONFIGS)
        folder = Path("runs") / "reproduce" / f"sharpness-{size}"
        for word in words:
            name, equals, value = word.partition("=")
            if name != "out" or not equals or not value:
                raise errors.InputError(
                    f"unknown option {word!r}; accepted: out=FOLDER"
                )
            folder = Path(value).expanduser()
        run(CONFIGS[size], rows.ROWS, folder)
    except errors.InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    print(f"files in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
