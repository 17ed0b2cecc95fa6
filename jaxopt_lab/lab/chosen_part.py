"""A part of a run with its options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxopt_lab import catalog


class Chosen(NamedTuple):
    """A row of the catalog with values of its options."""

    row: catalog.Part
    options: Mapping[str, Any]
