"""The options of ``python -m experiments.inspect``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from jaxopt_lab.core.errors import InputError, unknown
from jaxopt_lab.core.options import Interval
from jaxopt_lab.lab import command_line

PROGRAM = "python -m experiments.inspect"
_HELP = ("-h", "--help", "help")


@dataclass(frozen=True)
class InspectOptions:
    """Which run is looked at, and how closely."""

    run: str = ""
    """folder of a run of jaxopt_lab.lab.commands.train"""
    step: int = -1
    """step of the checkpoint; -1: the newest"""
    seed_index: int = 0
    """which of the run's seeds, from 0"""
    examples: int = 512
    """training examples over which everything is measured"""
    k: int = 5
    """number of eigenvalues"""
    num_steps: int = 40
    """at most as many Lanczos steps for each eigenvalue and each probe"""
    num_probes: int = 6
    """random vectors for the trace and the density"""
    points: int = 21
    """points along each axis of the landscapes; odd"""
    reach: float = 1.0
    """how far they go, in multiples of the weights' own filter norms"""
    out: str = ""
    """folder of the results; empty: inspect inside the run's folder"""


ACCEPTED = {
    "step": Interval(-1),
    "seed_index": Interval(0),
    "examples": Interval(1),
    "k": Interval(1),
    "num_steps": Interval(1),
    "num_probes": Interval(1),
    "points": Interval(3),
}


def parse(arguments: Sequence[str]) -> InspectOptions:
    """The options that the words of a command stand for.

    Args:
      arguments: the words after the program's name, ``key=value``.

    Returns:
      The options, every value checked.

    Raises:
      InputError: an unknown name or a value out of range.
      SystemExit: help was asked for, or a value is not of its type.
    """
    import tyro

    asks_help = any(word in _HELP for word in arguments)
    given = command_line.words([w for w in arguments if w not in _HELP])
    names = [field.name for field in dataclasses.fields(InspectOptions)]
    for name in given:
        if name not in names:
            raise unknown("option", name, names)
    words = [part for name, value in given.items() for part in (f"--{name}", value)]
    options = tyro.cli(
        InspectOptions,
        args=[*words, "--help"] if asks_help else words,
        prog=PROGRAM,
        description=(
            "Measure curvature, weight spectra and loss landscape of a trained "
            f"network:\n{PROGRAM} run=runs/NAME. Writes report.html (one file that "
            "holds everything), its figures,\nresults.jsonl and arrays.npz."
        ),
        use_underscores=True,
    )
    for name, accepted in ACCEPTED.items():
        value = getattr(options, name)
        if value not in accepted:
            raise InputError(f"{name}={value} is out of range; accepted: {accepted}")
    if options.points % 2 == 0:
        raise InputError(f"points={options.points} is even; accepted: odd numbers")
    if not options.reach > 0:
        raise InputError(f"reach={options.reach} is out of range; accepted: (0, inf)")
    if not options.run:
        raise InputError("run=FOLDER is missing: the folder of a run")
    return options
