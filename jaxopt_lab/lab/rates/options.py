"""The options of ``jaxopt-lab find_rate``."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from jaxopt_lab.core import errors
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import NON_NEGATIVE, POSITIVE, Interval
from jaxopt_lab.lab import command_line, plain_options
from jaxopt_lab.lab.commands import HELP
from jaxopt_lab.lab.configuration import Configuration


@dataclasses.dataclass(frozen=True)
class FindRateOptions:
    """A range of learning rates, and the examples over which curvature is measured;
    beside them every option of train."""

    lowest_rate: float = 1e-6
    """learning rate of the first step of the range test"""
    highest_rate: float = 10.0
    """learning rate of its last step, unless it diverges before"""
    range_steps: int = 150
    """its steps; the rate grows by the same factor in each"""
    examples: int = 512
    """training examples over which curvature is measured, in whole batches; 0: it is
    not"""
    num_steps: int = 40
    """at most as many Hessian-vector products for the largest eigenvalue"""
    figure: str = "find_rate.png"
    """file of the figure; empty: none"""


ACCEPTED = {
    "lowest_rate": POSITIVE,
    "highest_rate": POSITIVE,
    "range_steps": Interval(10),
    "examples": NON_NEGATIVE,
    "num_steps": Interval(1),
}


def parse(arguments: Sequence[str]) -> tuple[FindRateOptions, Configuration]:
    """The options that the words of a command stand for.

    Args:
      arguments: the words after the command's name, ``key=value``.

    Returns:
      Those of the command itself, and the run whose rate is wanted.

    Raises:
      InputError: an unknown name, a value out of range, or a run without a learning
        rate.
      SystemExit: help was asked for, or a value is not of its type.
    """
    own = {field.name for field in dataclasses.fields(FindRateOptions)}
    helping = command_line.asks_help(arguments)
    given = command_line.words([w for w in arguments if w not in HELP])
    mine = [f"{name}={value}" for name, value in given.items() if name in own]
    options = plain_options.parse(
        FindRateOptions,
        [*mine, "--help"] if helping else mine,
        "find_rate",
        "The learning rate of a run, from the curvature at its first weights and from "
        "a range test:\n{command} method=sgd task=digits model=mlp\nTakes every option "
        f"of {command_line.program('train')} besides, and prints its command.",
        accepted=ACCEPTED,
        needed={},
    )
    _check_range(options)
    others = [f"{name}={value}" for name, value in given.items() if name not in own]
    try:
        configuration = command_line.parse(others)
    except InputError:
        for name in given:
            if name not in own and difflib.get_close_matches(name, own, 1, 0.8):
                raise errors.unknown("option", name, own) from None
        raise
    check(configuration)
    return options, configuration


def apart(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options of ``find_rate`` itself, and those of the run.

    Args:
      given: values by name.

    Returns:
      Both, by name.
    """
    own = {field.name for field in dataclasses.fields(FindRateOptions)}
    mine = {name: value for name, value in given.items() if name in own}
    return mine, {name: value for name, value in given.items() if name not in own}


def of_values(given: Mapping[str, Any]) -> FindRateOptions:
    """The options from values in Python.

    Args:
      given: values by name; no figure is drawn unless one is named.

    Returns:
      The options.

    Raises:
      InputError: a value is out of range.

    >>> of_values({"range_steps": 20}).range_steps
    20
    """
    options = FindRateOptions(**{"figure": "", **given})
    for name, accepted in ACCEPTED.items():
        if (value := getattr(options, name)) not in accepted:
            raise InputError(f"{name}={value} is out of range; accepted: {accepted}")
    _check_range(options)
    return options


def check(configuration: Configuration) -> None:
    """Refuse a run whose rate cannot be found.

    Args:
      configuration: the run.

    Raises:
      InputError: it has no learning rate, or a controller.
    """
    if not configuration.has("learning_rate"):
        row = configuration.rows.base or configuration.rows.method
        raise InputError(f"{row.name} has no learning rate to find")
    run = configuration.run
    if run.controller != "none":
        raise InputError(
            f"controller={run.controller}: the rate of the first batch is found with "
            "controller=none"
        )


def _check_range(options: FindRateOptions) -> None:
    if options.lowest_rate >= options.highest_rate:
        raise InputError(
            f"lowest_rate={options.lowest_rate:g} must be below highest_rate="
            f"{options.highest_rate:g}"
        )
