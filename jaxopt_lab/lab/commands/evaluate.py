"""Test a trained run: ``jaxopt-lab evaluate run=runs/NAME``."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jaxopt_lab.core.options import Interval
from jaxopt_lab.lab import plain_options
from jaxopt_lab.lab.commands import command
from jaxopt_lab.lab.ending import leave
from jaxopt_lab.lab.run_choice import NEEDED, RunChoice


@dataclass(frozen=True)
class EvaluateOptions(RunChoice):
    """A run, and the data to test it on."""

    seed_index: int = -1
    """one of the run's seeds, from 0; -1: all of them"""
    task: str = ""
    """other data than the run's own, of the same shape and classes: a task's name,
    npz:FILE, folder:DIR, my.module:load"""
    data_dir: str = ""
    """folder of the data, with task= or where it has moved"""
    average: bool = False
    """the averaged weights that a run with ema= keeps"""


def _evaluate(words: Sequence[str]) -> int:
    options = plain_options.parse(
        EvaluateOptions,
        words,
        "evaluate",
        "Loss and accuracy of a trained run over its test data or others: "
        "{command} run=runs/NAME step=best\nPrints a table, and a line of JSON.",
        accepted={"seed_index": Interval(-1)},
        needed=NEEDED,
    )
    run = options.load(
        data=options.task or None, data_dir=options.data_dir, average=options.average
    )
    found = run.evaluate()
    _print(repr(run), found, run.test_examples)
    values = {name: _listed(value) for name, value in found.items()}
    print(json.dumps({"run": options.run, "step": run.step, **values}))
    return 0


def _listed(value: Any) -> Any:
    return value if isinstance(value, float) else value.tolist()


def _print(title: str, found: dict[str, Any], examples: int | None) -> None:
    from rich.console import Console
    from rich.table import Table

    from jaxopt_lab.lab.statistics import mean_interval

    console = Console()
    console.print(title, soft_wrap=True, highlight=False, markup=False)
    table = Table(show_header=False)
    if examples is not None:
        table.add_row("examples", f"{examples:,}")
    for name, value in found.items():
        values = [value] if isinstance(value, float) else value.tolist()
        mean, half = mean_interval(values)
        scale, unit = (100, " %") if name == "accuracy" else (1, "")
        unit = " nats" if name == "loss" else unit
        text = f"{scale * mean:.4g}"
        if not math.isnan(half):
            text += f" ± {scale * half:.2g}"
        table.add_row(name, f"{text}{unit}")
    if any(not isinstance(value, float) for value in found.values()):
        table.caption = "mean over seeds, 95 % interval"
    console.print(table)


main = command(_evaluate)
"""Run the command; see ``commands.command``."""


if __name__ == "__main__":
    leave(main())
