"""The rows of measurements."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Diagnostic

ROWS: tuple[Diagnostic, ...] = ()
