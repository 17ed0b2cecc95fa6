"""Measure a trained network: ``jaxopt-lab inspect run=runs/NAME``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jaxopt_lab.lab.commands import command
from jaxopt_lab.lab.ending import leave
from jaxopt_lab.lab.inspect import options as options_of


def _inspect(words: Sequence[str]) -> int:
    options = options_of.parse(words)
    folder = Path(options.out or Path(options.run) / "inspect").expanduser()
    from jaxopt_lab.lab.inspect import measure, page, trained_network

    found = trained_network.read(options)
    findings = measure.measure(found, options, _say)
    written = page.write(found, findings, options, folder)
    scalars = findings.probe.scalars
    print(
        f"largest eigenvalue {scalars['top_1']:.4g} (residual "
        f"{scalars['top_1_residual']:.1g}), trace {scalars['trace']:.4g} "
        f"± {scalars['trace_error']:.2g}"
    )
    print(f"report: {written}")
    return 0


def _say(text: str) -> None:
    print(text, flush=True)


main = command(_inspect, stopped="stopped; nothing was written")
"""Run the command; see ``commands.command``."""


if __name__ == "__main__":
    leave(main())
