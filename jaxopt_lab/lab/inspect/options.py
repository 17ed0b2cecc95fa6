"""The options of ``jaxopt-lab inspect``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import POSITIVE, Interval
from jaxopt_lab.lab import plain_options


@dataclass(frozen=True)
class InspectOptions:
    """Options of an inspection: a run, and the effort of the measurements."""

    run: str = ""
    """folder of a run of jaxopt_lab.lab.commands.train"""
    step: int = -1
    """step of the checkpoint; -1: the newest"""
    seed_index: int = 0
    """one of the run's seeds, from 0"""
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
    """half their width, in multiples of the weights' own filter norms"""
    out: str = ""
    """folder of the results; empty: inspect inside the run's folder, and the page is
    the run's own report.html"""


ACCEPTED = {
    "step": Interval(-1),
    "seed_index": Interval(0),
    "examples": Interval(1),
    "k": Interval(1),
    "num_steps": Interval(1),
    "num_probes": Interval(1),
    "points": Interval(3),
    "reach": POSITIVE,
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
    options = plain_options.parse(
        InspectOptions,
        arguments,
        "inspect",
        "Measure curvature, weight spectra and loss landscape of a trained "
        "network:\n{command} run=runs/NAME. Adds its sections to the run's report.html "
        "and writes figures,\nresults.jsonl and arrays.npz.",
        accepted=ACCEPTED,
        needed={"run": "the folder of a run"},
    )
    if options.points % 2 == 0:
        raise InputError(f"points={options.points} is even; accepted: odd numbers")
    return options
