"""The rows of searches."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Search

ROWS: tuple[Search, ...] = ()
