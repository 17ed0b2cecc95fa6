"""Merge trained runs: ``jaxopt-lab merge runs=A,B method=soup``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import NON_NEGATIVE, POSITIVE_OR_INFINITE, UNIT
from jaxopt_lab.lab import plain_options
from jaxopt_lab.lab.commands import command
from jaxopt_lab.lab.ending import leave


@dataclass(frozen=True)
class MergeOptions:
    """Trained runs of one architecture, and the method."""

    runs: str = ""
    """folders of the runs, with commas; of t3 the general one first. Of a run with
    several seeds the first is taken"""
    method: Literal["soup", "delta", "t3"] = "soup"
    """soup: mean of the weights; delta: weighted by how far each array moved from
    start=; t3: at test time, by how far two predictions are apart"""
    start: str = ""
    """delta: folder of the run from which the others were trained"""
    temperature: float = 1.0
    """delta: of the softmax over the runs; inf: the mean"""
    by: Literal["batch", "example"] = "batch"
    """t3: one merged model for each test batch, or for each example"""
    least: float = 0.1
    """t3: least share of the first run"""
    most: float = 0.9
    """t3: largest share of the first run"""
    gamma: float = 0.5
    """t3: steepness of the share, per nat"""
    center: float = 0.0
    """t3: divergence of the share in the middle, in nats"""
    task: str = ""
    """other data to test on than the first run's own"""
    data_dir: str = ""
    """folder of the data, with task= or where it has moved"""
    out: str = ""
    """soup, delta: file .npz or .safetensors for the merged weights"""


_ONLY = {
    "start": "delta",
    "temperature": "delta",
    "by": "t3",
    "least": "t3",
    "most": "t3",
    "gamma": "t3",
    "center": "t3",
}
"""Options of one method."""


def _merge(words: Sequence[str]) -> int:
    options = plain_options.parse(
        MergeOptions,
        words,
        "merge",
        "Merge trained runs and test the result beside each of them: "
        "{command} runs=runs/A,runs/B method=soup out=merged.npz\nPrints a table and a "
        "line of JSON.",
        accepted={
            "temperature": POSITIVE_OR_INFINITE,
            "least": UNIT,
            "most": UNIT,
            "gamma": NON_NEGATIVE,
            "center": NON_NEGATIVE,
        },
        needed={"runs": "the folders of trained runs, with commas"},
    )
    default = MergeOptions()
    for name, method in _ONLY.items():
        if options.method != method and getattr(options, name) != getattr(
            default, name
        ):
            raise InputError(f"{name}= is an option of method={method}")
    form = Path(options.out).suffix.removeprefix(".")
    if options.out and (options.method == "t3" or form not in ("npz", "safetensors")):
        raise InputError(
            f"out={options.out}; accepted: .npz or .safetensors, of soup and delta"
        )
    if (options.method == "delta") != bool(options.start):
        raise InputError("method=delta needs start=, the run before the others")
    return _merged(options, form)


def _merged(options: MergeOptions, form: str) -> int:
    from jaxopt_lab.lab import export, merging
    from jaxopt_lab.lab.python_runs import load

    def read(folder: str) -> Any:
        data = options.task or None
        found = load(folder, data=data, data_dir=options.data_dir).seed(0)
        found.need_classifier("merge")
        return found

    runs = [read(name) for name in options.runs.split(",") if name]
    merging.check(runs)
    found: dict[str, Any] = {str(r.folder): r.evaluate() for r in runs}
    said: dict[str, Any] = {"runs": list(found), "method": options.method}
    if options.method == "t3":
        if len(runs) != 2:
            raise InputError(f"method=t3 merges two runs; got {len(runs)}")
        names = ("by", "least", "most", "gamma", "center")
        given = {name: getattr(options, name) for name in names}
        result = merging.evaluate_t3(*runs, **given)
        found["t3"] = result.metrics
        shares = result.coefficients
        said["share"] = [float(x) for x in (shares.min(), shares.mean(), shares.max())]
    else:
        start = read(options.start) if options.start else None
        run = merging.soup(runs, start=start, temperature=options.temperature)
        found[options.method] = run.evaluate()
        if options.out:
            said["out"] = str(export.write(run, form, options.out))
    _print(found)
    print(json.dumps({**said, "tests": found}))
    return 0


def _print(found: dict[str, dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    names = list(next(iter(found.values())))
    table = Table("run", *names)
    for title, values in found.items():
        table.add_row(title, *(f"{values[name]:.4g}" for name in names))
    Console().print(table)


main = command(_merge)
"""Run the command; see ``commands.command``."""


if __name__ == "__main__":
    leave(main())
