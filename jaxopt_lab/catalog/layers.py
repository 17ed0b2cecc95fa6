"""The rows of layers."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Layer

ROWS: tuple[Layer, ...] = ()
