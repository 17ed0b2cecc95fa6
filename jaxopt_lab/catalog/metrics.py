"""The rows of metrics."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Metric

ROWS: tuple[Metric, ...] = ()
