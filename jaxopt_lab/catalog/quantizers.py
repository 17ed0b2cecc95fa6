"""The rows of quantizers, merging and pruning."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Quantizer

ROWS: tuple[Quantizer, ...] = ()
