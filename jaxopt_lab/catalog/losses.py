"""The rows of losses and regularizers."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Loss

ROWS: tuple[Loss, ...] = ()
