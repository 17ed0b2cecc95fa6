"""Quantize a trained run: ``jaxopt-lab quantize run=runs/NAME bits=3``."""

from __future__ import annotations

import json
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


@dataclass(frozen=True)
class QuantizeOptions(RunChoice):
    """A run, a method, and the leaves to quantize."""

    data_dir: str = ""
    """folder of the data where it has moved"""
    method: str = "quantease"
    """a quantizer of the catalog: nearest_gptq, gptq, quantease, ..."""
    bits: int = 4
    """bits of a weight, 2 to 8"""
    options: str = ""
    """further options of the method: sweeps=30,init=weights"""
    codec: str = ""
    """grid: gptq, linear, qwix, zeroq, genie; empty: the method's own"""
    group_size: int = 0
    """weights of an output that share a step; 0: all"""
    match: str = "kernel"
    """regular expression of the paths to quantize"""
    keep: str = ""
    """regular expression of the paths that stay"""
    examples: int = 512
    """examples to calibrate on"""
    calibration: str = "train"
    """train, training examples; zeroq or genie, inputs made without data from the
    statistics of batch normalizations"""
    calibration_steps: int = 500
    """steps of making them"""
    in_order: bool = True
    """calibrate a layer on what the quantized layers before it give"""
    out: str = ""
    """FILE.npz for codes, scales and zero points"""


def _quantize(words: Sequence[str]) -> int:
    given = plain_options.parse(
        QuantizeOptions,
        words,
        "quantize",
        "Quantize the matrices of a trained run and test it: "
        "{command} run=runs/NAME method=quantease bits=3\nPrints the error and the "
        "bytes of every layer, the test before and after, and a line of JSON.",
        accepted={
            **ACCEPTED,
            "bits": Interval(2, 8),
            "group_size": Interval(0),
            "examples": Interval(0),
            "calibration_steps": Interval(1),
        },
        needed=NEEDED,
    )
    out = Path(given.out).expanduser() if given.out else None
    if out is not None and out.suffix != ".npz":
        raise InputError(f"out={given.out}; accepted: a name that ends in .npz")
    options = {"bits": given.bits, **options_of(given.options)}
    from rich.console import Console

    from jaxopt_lab.lab.quantized_run import codes_by_path, quantize_run

    run = given.load("quantize", data_dir=given.data_dir)
    console = Console()
    with console.status("quantizing") as status:
        quantized, report = quantize_run(
            run,
            given.method,
            options=options,
            codec=given.codec or None,  # type: ignore[arg-type]
            group_size=given.group_size,
            match=given.match,
            keep=given.keep,
            examples=given.examples,
            in_order=given.in_order,
            calibration=given.calibration,  # type: ignore[arg-type]
            calibration_steps=given.calibration_steps,
            progress=lambda path: status.update(f"quantizing {path}"),
        )
    before, after = run.evaluate(), quantized.evaluate()
    console.print(repr(run), soft_wrap=True, highlight=False, markup=False)
    _print(console, report, before, after)
    if out is not None:
        import numpy as np

        try:
            np.savez(out, **codes_by_path(report))  # type: ignore[arg-type]
        except OSError as error:
            raise InputError(f"cannot write {out}: {reason(error)}") from None
        print(f"written: {out}")
    found = {
        "run": given.run,
        "step": run.step,
        "method": given.method,
        **options,
        "bytes": report.nbytes,
        "bytes_before": report.nbytes_before,
        "output_error": report.output_error,
        "before": before,
        "after": after,
    }
    print(json.dumps(found))
    return 0


def options_of(text: str) -> dict[str, Any]:
    """Options of a method from ``name=value`` pairs with commas.

    >>> options_of("sweeps=30,relax=true,init=weights")
    {'sweeps': 30, 'relax': True, 'init': 'weights'}
    """
    found: dict[str, Any] = {}
    for pair in filter(None, text.split(",")):
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise InputError(
                f"options={text}; accepted: NAME=VALUE, with commas between"
            )
        try:
            found[name] = json.loads(value.lower())
        except ValueError:
            found[name] = value
    return found


def _print(console: Any, report: Any, before: Any, after: Any) -> None:
    from rich.table import Table

    table = Table("layer", "shape", "bytes", "error", "nearest", "ratio")
    for path, (coded, told) in report.layers.items():
        error, nearest = float(told.error), float(told.nearest_error)
        table.add_row(
            path,
            " x ".join(map(str, coded.qvalue.shape)),
            f"{told.nbytes:,}",
            f"{error:.3g}",
            f"{nearest:.3g}",
            f"{error / nearest:.3f}" if nearest else "",
        )
    table.caption = (
        "error: squared error of the layer's outputs, relative; "
        "nearest: that of rounding to the nearest"
    )
    console.print(table)
    console.print(
        f"bytes {report.nbytes_before:,} -> {report.nbytes:,}  "
        f"({report.nbytes / report.nbytes_before:.3f}), relative squared error of the "
        f"outputs {report.output_error:.3g}",
        highlight=False,
    )
    for name, value in before.items():
        scale, unit = (100, " %") if name == "accuracy" else (1, "")
        console.print(
            f"{name} {scale * value:.4g}{unit} -> {scale * after[name]:.4g}{unit}",
            highlight=False,
        )


main = command(_quantize)
"""Run the command; see ``commands.command``."""


if __name__ == "__main__":
    leave(main())
