"""Measure a trained network: ``jaxopt-lab inspect run=runs/NAME``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from jaxopt_lab.lab.commands import guarded
from jaxopt_lab.lab.inspect import options as options_of


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
      arguments: the words after the program's name; ``None``: those of the process.

    Returns:
      Exit status: 0; 2 for bad input; 130 after Ctrl-C.
    """
    words = sys.argv[1:] if arguments is None else arguments
    return guarded(_inspect, words, stopped="stopped; nothing was written")


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


if __name__ == "__main__":
    sys.exit(main())
