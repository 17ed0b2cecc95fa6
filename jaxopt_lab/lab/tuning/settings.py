"""Numbers of a configuration under their names on the command line."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from jaxopt_lab.catalog.ranges import Range
from jaxopt_lab.catalog.tuned_ranges import tuned
from jaxopt_lab.core import errors
from jaxopt_lab.lab.configuration import Configuration, base_prefix, decay_name

_METHOD, _BASE, _DECAY = "method", "base", "weight_decay"


def _places(configuration: Configuration) -> dict[str, tuple[str, str]]:
    """Field of the configuration and name in it, by name on the command line."""
    rows = configuration.rows
    found = {name: (_METHOD, name) for name in rows.method.numeric}
    if rows.base is not None:
        prefix = base_prefix(rows.method)
        found |= {prefix(name): (_BASE, name) for name in rows.base.numeric}
    if configuration.weight_decay is not None:
        found[decay_name(rows)] = (_DECAY, "")
    return found


def numeric_names(configuration: Configuration) -> list[str]:
    """The options of a run that one compiled program can take in several values.

    Args:
      configuration: the run.

    Returns:
      Names on the command line: the numbers of the method and its base that may be
      traced. A learning rate is none where a schedule of the user's own reads it.
    """
    own = ":" in configuration.run.schedule
    places = _places(configuration).items()
    return [name for name, (_, at) in places if not (own and at == "learning_rate")]


def with_values(
    configuration: Configuration, values: Mapping[str, Any]
) -> Configuration:
    """A configuration with other numbers.

    Args:
      configuration: the run.
      values: numbers or traced scalars, by name on the command line.

    Returns:
      The configuration; Python numbers are checked.

    Raises:
      InputError: the run has no such number, or one is out of range.
    """
    places = _places(configuration)
    changed: dict[str, Any] = {
        _METHOD: dict(configuration.method),
        _BASE: dict(configuration.base),
    }
    for name, value in values.items():
        if name not in places:
            raise errors.unknown("number", name, places)
        field, own = places[name]
        if field == _DECAY:
            changed[_DECAY] = value
        else:
            changed[field][own] = value
    rows = configuration.rows
    rows.method.checked(changed[_METHOD])
    if rows.base is not None:
        rows.base.checked(changed[_BASE])
    return dataclasses.replace(configuration, **changed)


def search_space(configuration: Configuration) -> dict[str, Range]:
    """The ranges in which the numbers of a run are searched, from the catalog.

    Args:
      configuration: the run.

    Returns:
      Ranges by name on the command line; empty where the catalog has none.
    """
    rows, names = configuration.rows, set(numeric_names(configuration))
    found = dict(tuned(rows.method))
    if rows.base is not None:
        prefix = base_prefix(rows.method)
        found |= {prefix(name): space for name, space in tuned(rows.base).items()}
    return {name: space for name, space in found.items() if name in names}
