"""The rows of initializers."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Initializer

ROWS: tuple[Initializer, ...] = ()
