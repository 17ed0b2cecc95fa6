"""Spaces and drivers of a search, as the command line writes them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from jaxopt_lab.catalog import of_kind
from jaxopt_lab.core.errors import InputError, unknown
from jaxopt_lab.search import Choice, Integers, Interval, Search
from jaxopt_lab.search.space import Dimension, check_space

_RANGES = {"lin": Interval, "log": Interval, "int": Integers}


def read_space(text: str) -> dict[str, Dimension]:
    """The space that a text stands for.

    Args:
      text: dimensions separated by ``;``, each an option of a training run and its
        values: ``log:LOW:HIGH`` and ``lin:LOW:HIGH`` for numbers, ``int:LOW:HIGH`` for
        whole numbers, or values with commas.

    Returns:
      Dimensions by name; values of a choice are words.

    Raises:
      InputError: a dimension cannot be read, comes twice, or is empty.

    >>> read_space("learning_rate=log:1e-3:0.1;model=mlp,cnn")["model"].values
    ('mlp', 'cnn')
    """
    space: dict[str, Dimension] = {}
    for part in filter(None, (p.strip() for p in text.split(";"))):
        name, equals, values = part.partition("=")
        if not equals or not name:
            raise InputError(
                f"space: cannot read {part!r}; a dimension is option=log:LOW:HIGH, "
                "lin:LOW:HIGH, int:LOW:HIGH or values with commas"
            )
        if name in space:
            raise InputError(f"space names {name} twice")
        space[name] = _dimension(name, values)
    check_space(space)
    return space


def _dimension(name: str, text: str) -> Dimension:
    kind, *ends = text.split(":")
    if kind not in _RANGES or len(ends) != 2:
        return Choice(tuple(v for v in text.split(",") if v))
    try:
        number = int if kind == "int" else float
        low, high = map(number, ends)
    except ValueError:
        raise InputError(f"space: {name}={text} has no two numbers") from None
    if kind == "int":
        return Integers(int(low), int(high))
    return Interval(low, high, kind == "log")


def make_driver(
    name: str, options: Mapping[str, str], space: Mapping[str, Dimension]
) -> Search:
    """A search of the catalog on a space.

    Args:
      name: of its row.
      options: its options, as words.
      space: dimensions by name.

    Returns:
      The search.

    Raises:
      InputError: there is no such search or option, or a value cannot be read.

    >>> space = read_space("width=int:1:8")
    >>> search = make_driver("nsga2", {"population": "4"}, space)
    >>> search.init()["told"]
    0
    """
    rows = of_kind("search")
    if name not in rows:
        raise unknown("driver", name, rows)
    row = rows[name]
    parameters = inspect.signature(row.load()).parameters
    chosen: dict[str, Any] = {}
    for option, text in options.items():
        if option not in row.options:
            raise unknown(f"option of {name}", option, row.options)
        default = parameters[option].default
        if isinstance(default, str):
            chosen[option] = text
            continue
        whole = isinstance(default, int)
        try:
            chosen[option] = int(text) if whole else float(text)
        except ValueError:
            raise InputError(
                f"driver.{option}={text} must be a {'whole ' if whole else ''}number"
            ) from None
    return row.make(space, **chosen)
