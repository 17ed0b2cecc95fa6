"""Calibrate a trained run: ``jaxopt-lab calibrate run=runs/NAME``."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.files import reason
from jaxopt_lab.core.options import Interval
from jaxopt_lab.lab import plain_options
from jaxopt_lab.lab.commands import command
from jaxopt_lab.lab.ending import leave
from jaxopt_lab.lab.run_choice import ACCEPTED, NEEDED, RunChoice

_COLUMNS = {
    "accuracy": ("accuracy, %", 100),
    "loss": ("loss, nats", 1),
    "expected_calibration_error": ("ECE, %", 100),
    "classwise_calibration_error": ("classwise, %", 100),
    "kernel_calibration_error": ("kernel², 1e-3", 1000),
}


@dataclass(frozen=True)
class CalibrateOptions(RunChoice):
    """A run, and the measurement of its calibrations."""

    data_dir: str = ""
    """folder of the data where it has moved"""
    bins: int = 15
    """bins of the calibration errors and of the diagram"""
    draws: int = 1000
    """draws of the bootstrap over test examples"""
    out: str = ""
    """folder for results.json and reliability.png; empty: calibration in that of the
    run"""


def _calibrate(words: Sequence[str]) -> int:
    given = plain_options.parse(
        CalibrateOptions,
        words,
        "calibrate",
        "Fit the calibrators of the catalog on the validation split of a trained run "
        "and test them: {command} run=runs/NAME\nPrints a table with 95 % intervals "
        "and a line of JSON, writes a reliability diagram.",
        accepted={**ACCEPTED, "bins": Interval(1), "draws": Interval(1)},
        needed=NEEDED,
    )
    from jaxopt_lab.lab.calibrated_run import calibrate_run
    from jaxopt_lab.plotting.reliability import reliability_diagram

    run = given.load("calibrate", data_dir=given.data_dir)
    found = calibrate_run(run, bins=given.bins, draws=given.draws)
    title = f"{run!r}; {found.validated:,} examples to fit on, {found.tested:,} to test"
    _print(title, found.bands)
    folder = Path(given.out or Path(given.run) / "calibration").expanduser()
    values = {
        name: {metric: _numbers(band) for metric, band in bands.items()}
        for name, bands in found.bands.items()
    }
    record = {
        "run": given.run,
        "step": run.step,
        "validation_examples": found.validated,
        "test_examples": found.tested,
        "calibrations": values,
    }
    every = {n: {k: x.tolist() for k, x in _arrays(f)} for n, f in found.fitted.items()}
    figure = reliability_diagram(found.bins, title)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({**record, "fitted": every}, indent=1)
        (folder / "results.json").write_text(text + "\n", "utf-8")
        figure.savefig(folder / "reliability.png", dpi=150)
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {reason(error)}") from None
    print(f"written: {folder / 'results.json'}, {folder / 'reliability.png'}")
    print(json.dumps(record))
    return 0


def _arrays(fitted: Any) -> list[tuple[str, Any]]:
    import numpy as np

    return [(name, np.asarray(x)) for name, x in fitted._asdict().items()]


def _numbers(band: Any) -> list[float | None]:
    """Value, low and high end; an end that is not known is null."""
    return [None if math.isnan(x) else float(x) for x in band]


def _print(title: str, found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(title, soft_wrap=True, highlight=False, markup=False)
    table = Table("calibration", *(head for head, _ in _COLUMNS.values()))
    for name, bands in found.items():
        cells = []
        for metric, (_, scale) in _COLUMNS.items():
            value, low, high = (scale * float(x) for x in bands[metric])
            ends = "" if math.isnan(low) else f" [{low:.3g}, {high:.3g}]"
            cells.append(f"{value:.3g}{ends}")
        table.add_row(name, *cells)
    table.caption = (
        "95 % intervals: bootstrap over test examples; kernel²: from the spread of "
        "pairs, unbiased, so that it may lie below 0"
    )
    console.print(table)


main = command(_calibrate)
"""Run the command; see ``commands.command``."""


if __name__ == "__main__":
    leave(main())
