"""The rows of estimators."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Estimator

ROWS: tuple[Estimator, ...] = ()
