"""The grid of a tuning, from the words of its command."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import Interval
from jaxopt_lab.lab import command_line, configuration_files, options_form
from jaxopt_lab.lab.configuration import Configuration, base_prefix
from jaxopt_lab.lab.named_rows import resolve
from jaxopt_lab.lab.run_options import (
    ACCEPTED,
    LISTS,
    PATTERNS,
    PRESENTATION,
    TOPOLOGY,
)
from jaxopt_lab.lab.tuning import program
from jaxopt_lab.lab.tuning.settings import numeric_names, with_values

_BUDGET = frozenset(
    {"steps", "seed", "seeds", "val", "task", "data_dir", "start_from", *TOPOLOGY}
    | {*PRESENTATION, *configuration_files.OPTIONS}
)
"""Options of one value: with another, scores would not be comparable, or the same."""
_SPACED = {"log": np.geomspace, "lin": np.linspace}
_SPACES = "log:LOW:HIGH:COUNT (LOW above 0), lin:LOW:HIGH:COUNT, or values with commas"


class Axis(NamedTuple):
    """The values of one option.

    Attributes:
      name: of the option.
      texts: its values, as the command line takes them.
      numbers: the values as numbers; ``None`` where one of them is none.
      traced: whether one program takes all of them.
    """

    name: str
    texts: tuple[str, ...]
    numbers: tuple[float, ...] | None
    traced: bool


class Group(NamedTuple):
    """The settings that run in one program.

    Attributes:
      configuration: with the first of the numbers that differ.
      settings: their rows in the grid.
    """

    configuration: Configuration
    settings: tuple[int, ...]


class Grid(NamedTuple):
    """All settings of a tuning.

    Attributes:
      axes: options of several values, in the order of the command.
      groups: the settings by program.
      given: the words of the command, by option; those of the tuning itself aside.
    """

    axes: tuple[Axis, ...]
    groups: tuple[Group, ...]
    given: Mapping[str, str]

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of values of every axis."""
        return tuple(len(axis.texts) for axis in self.axes)

    def places(self, setting: int) -> tuple[int, ...]:
        """The position of a setting along every axis."""
        return tuple(int(i) for i in np.unravel_index(setting, self.shape))

    def texts(self, setting: int) -> dict[str, str]:
        """The values of a setting, as texts by option."""
        places = zip(self.axes, self.places(setting), strict=True)
        return {axis.name: axis.texts[i] for axis, i in places}

    def numbers(self, group: Group) -> dict[str, list[float]]:
        """The numbers of the settings of a group, by traced option."""
        found = {}
        for k, axis in enumerate(self.axes):
            if axis.traced and axis.numbers is not None:
                rows = [self.places(s)[k] for s in group.settings]
                found[axis.name] = [axis.numbers[i] for i in rows]
        return found


def read(given: Mapping[str, str]) -> Grid:
    """The grid that the words of a command stand for.

    Args:
      given: values by option; several with commas (with ``|`` where a value may have
        commas itself), or ``log:LOW:HIGH:COUNT`` and ``lin:LOW:HIGH:COUNT``.

    Returns:
      The grid, every setting checked.

    Raises:
      InputError: it is empty, an option is unknown or of one value, or a value is out
        of range.
    """
    texts = {name: _values(name, text) for name, text in given.items()}
    first = {name: values[0] for name, values in texts.items()}
    plain = {n: v for n, v in first.items() if n not in configuration_files.OPTIONS}
    kept = configuration_files.settings(dict(first))
    named = {n: v for n, v in kept.items() if isinstance(v, str)}
    known = dict(options_form.names(options_form.form(resolve({**named, **plain}))))
    for name in texts:
        if name in known and "tuple" in str(known[name].type):
            texts[name] = given[name].split("|")
            first[name] = texts[name][0]
    several = {name: values for name, values in texts.items() if len(values) > 1}
    _check(several)
    configuration = _parsed(first)
    if not several:
        raise InputError(_empty(configuration))
    program.check(configuration)
    traced = {*numeric_names(configuration)}
    axes = tuple(_axis(name, values, traced) for name, values in several.items())
    for axis in axes:
        if axis.traced:
            for number in axis.numbers or ():
                with_values(configuration, {axis.name: number})
    return Grid(axes, _groups(axes, first, configuration), dict(given))


def _groups(
    axes: tuple[Axis, ...], first: Mapping[str, str], configuration: Configuration
) -> tuple[Group, ...]:
    shape = [range(len(axis.texts)) for axis in axes]
    found: dict[tuple[int, ...], list[int]] = {}
    for setting, places in enumerate(itertools.product(*shape)):
        own = tuple(i for i, axis in zip(places, axes, strict=True) if not axis.traced)
        found.setdefault(own, []).append(setting)
    fixed = [axis for axis in axes if not axis.traced]
    groups = []
    for own, settings in found.items():
        chosen = {a.name: a.texts[i] for a, i in zip(fixed, own, strict=True)}
        own_one = _parsed({**first, **chosen}) if any(own) else configuration
        groups.append(Group(own_one, tuple(settings)))
    return tuple(groups)


def _parsed(given: Mapping[str, str]) -> Configuration:
    try:
        return command_line.parse([f"{name}={text}" for name, text in given.items()])
    except SystemExit:  # the parser has said why
        raise InputError("a value is not of the type of its option") from None


def _check(several: Mapping[str, list[str]]) -> None:
    for name, values in several.items():
        if name == "method":
            raise InputError(
                f"method={','.join(values)}: one method is tuned; jaxopt-lab compare "
                "takes several"
            )
        if name in _BUDGET:
            raise InputError(
                f"{name}={','.join(values)}: all settings share it; accepted: one value"
            )
        twice = [text for text in values if values.count(text) > 1]
        if twice or "" in values:
            what = f"{twice[0]} twice" if twice and twice[0] else "an empty value"
            raise InputError(f"{name}={','.join(values)} has {what}")


def _axis(name: str, values: list[str], traced: set[str]) -> Axis:
    numbers: tuple[float, ...] | None
    try:
        numbers = tuple(float(text) for text in values)
    except ValueError:
        numbers = None
    if numbers is None and name in traced:
        raise InputError(
            f"{name}={','.join(values)} are no numbers; accepted: {_SPACES}"
        )
    return Axis(name, tuple(values), numbers, name in traced)


def _values(name: str, text: str) -> list[str]:
    if name in PATTERNS or name in configuration_files.OPTIONS:
        return [text]
    kind, colon, rest = text.partition(":")
    if colon and kind in _SPACED and "|" not in text:
        return _spaced(name, text, kind, rest)
    if "|" in text or name in LISTS:
        return text.split("|")
    return text.split(",")


def _spaced(name: str, text: str, kind: str, rest: str) -> list[str]:
    try:
        low, high, count = rest.split(":")
        ends, several = (float(low), float(high)), int(count)
    except ValueError:
        raise InputError(f"{name}={text} cannot be read; accepted: {_SPACES}") from None
    if several < 1:
        raise InputError(f"{name}={text} is an empty grid; accepted: a COUNT above 0")
    right = np.all(np.isfinite(ends)) and ends[0] < ends[1]
    if not right or (kind == "log" and ends[0] <= 0):
        raise InputError(f"{name}={text} is no range; accepted: {_SPACES}")
    # Short texts, which are what is trained with.
    return [f"{float(x):.6g}" for x in _SPACED[kind](*ends, several)]


def _empty(configuration: Configuration) -> str:
    rows = configuration.rows
    names = list(rows.method.details)
    told = [f"{rows.method.name} has {', '.join(names) or 'no options'}"]
    if rows.base is not None:
        prefix = base_prefix(rows.method)
        own = ", ".join(map(prefix, rows.base.details)) or "no options"
        told.append(f"its base {rows.base.name} {own}")
    example = next(iter(numeric_names(configuration)), "batch_size")
    return (
        "an empty grid: give an option several values, such as "
        f"{example}=log:1e-3:0.1:5 ({'; '.join(told)})"
    )


def accepted(configuration: Configuration, name: str) -> Any:
    """The interval of the accepted values of an option; ``None``: any."""
    rows = configuration.rows
    details = dict(rows.method.details)
    if rows.base is not None:
        prefix = base_prefix(rows.method)
        details |= {prefix(n): option for n, option in rows.base.details.items()}
    if name in details:
        found = details[name].accepted
        return found if isinstance(found, Interval) else None
    return ACCEPTED.get(name)
