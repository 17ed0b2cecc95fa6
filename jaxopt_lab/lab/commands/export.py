"""Export a trained run: ``jaxopt-lab export run=runs/NAME to=safetensors``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from jaxopt_lab.core.options import Interval
from jaxopt_lab.lab import plain_options
from jaxopt_lab.lab.commands import guarded


@dataclass(frozen=True)
class ExportOptions:
    """A run, and the format."""

    run: str = ""
    """folder of a run"""
    to: str = "npz"
    """npz or safetensors: the weights by name; stablehlo: the network in evaluation
    mode with its weights, for any batch size, read by jax.export.deserialize"""
    step: str = "latest"
    """step of the checkpoint: latest, best, or a number"""
    seed_index: int = 0
    """one of the run's seeds, from 0"""
    out: str = ""
    """file to write; empty: weights.* or model.stablehlo in the run's folder"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
      arguments: the words after the program's name; ``None``: those of the process.

    Returns:
      Exit status: 0; 2 for bad input; 130 after Ctrl-C.
    """
    return guarded(_export, sys.argv[1:] if arguments is None else arguments)


def _export(words: Sequence[str]) -> int:
    options = plain_options.parse(
        ExportOptions,
        words,
        "export",
        "Write what other programs read: {command} run=runs/NAME to=safetensors",
        accepted={"seed_index": Interval(0)},
        needed={"run": "the folder of a run"},
    )
    step = plain_options.step_of(options.step)
    from jaxopt_lab.lab import export

    export.check(options.to)
    from jaxopt_lab.lab.python_runs import load

    run = load(options.run, step).seed(options.seed_index)
    path = export.write(run, options.to, options.out)
    print(f"written: {path} ({path.stat().st_size:,} bytes), step {run.step}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
