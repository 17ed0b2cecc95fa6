"""The rows of data transforms."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import DataTransform

ROWS: tuple[DataTransform, ...] = ()
