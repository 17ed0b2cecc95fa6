"""Export a trained run: ``jaxopt-lab export run=runs/NAME to=safetensors``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaxopt_lab.lab import plain_options
from jaxopt_lab.lab.commands import command
from jaxopt_lab.lab.ending import leave
from jaxopt_lab.lab.run_choice import ACCEPTED, NEEDED, RunChoice


@dataclass(frozen=True)
class ExportOptions(RunChoice):
    """A run, and the format."""

    to: str = "npz"
    """npz or safetensors: the weights by name; stablehlo: the network in evaluation
    mode with its weights, for any batch size, read by jax.export.deserialize"""
    out: str = ""
    """file to write; empty: weights.* or model.stablehlo in the run's folder"""


def _export(words: Sequence[str]) -> int:
    options = plain_options.parse(
        ExportOptions,
        words,
        "export",
        "Write what other programs read: {command} run=runs/NAME to=safetensors",
        accepted=ACCEPTED,
        needed=NEEDED,
    )
    from jaxopt_lab.lab import export

    export.check(options.to)
    run = options.load("export to=stablehlo" if options.to == "stablehlo" else "")
    path = export.write(run, options.to, options.out)
    print(f"written: {path} ({path.stat().st_size:,} bytes), step {run.step}")
    return 0


main = command(_export)
"""Run the command; see ``commands.command``."""


if __name__ == "__main__":
    leave(main())
