"""The rows of controllers."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Controller

ROWS: tuple[Controller, ...] = ()
