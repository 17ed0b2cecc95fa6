"""The modules that the battery of one row depends on, for ``pytest --changed``."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import jaxopt_lab

ROOT = pathlib.Path(jaxopt_lab.__file__).parents[1]


def reaches(row: Any) -> pytest.MarkDecorator:
    """A mark with the modules that a row names, and the file that holds it.

    Args:
      row: of the catalog.

    Returns:
      The mark; a change of another method does not run this row.
    """
    names = sorted(set(_names(row)))
    return pytest.mark.reaches(*names, files=_files(row.kind, row.name))


def _names(value: Any) -> Iterator[str]:
    """References to modules of ours in the fields of a row."""
    if isinstance(value, str):
        # Examples and adapters of the catalog import the rows of every kind.
        ours = value.startswith("jaxopt_lab.") and value.count(":") == 1
        if ours and not value.startswith("jaxopt_lab.catalog."):
            yield value
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _names(getattr(value, field.name))
    elif callable(value) and getattr(value, "__module__", "").startswith("jaxopt_lab"):
        if not value.__module__.startswith("jaxopt_lab.catalog"):
            yield value.__module__
    elif isinstance(value, dict):
        yield from (name for x in value.values() for name in _names(x))
    elif isinstance(value, tuple | list | frozenset):
        yield from (name for x in value for name in _names(x))


@functools.cache
def _files(kind: str, name: str) -> tuple[str, ...]:
    """The file of the catalog whose ``ROWS`` hold a row."""
    for module in list(sys.modules.values()):
        where = getattr(module, "__name__", "")
        if where.startswith("jaxopt_lab.catalog."):
            rows = getattr(module, "ROWS", ())
            if any(r.kind == kind and r.name == name for r in rows):
                path = pathlib.Path(module.__file__ or "").relative_to(ROOT)
                return (path.as_posix(),)
    return ()
