"""The rows of decoders."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Decoder

ROWS: tuple[Decoder, ...] = ()
