"""The rows of recipes of training steps."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Recipe

ROWS: tuple[Recipe, ...] = ()
