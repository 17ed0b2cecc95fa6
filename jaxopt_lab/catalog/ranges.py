"""Ranges over which options are tuned, by their names."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Range(NamedTuple):
    """Numbers from ``low`` to ``high``; with ``log`` uniform in the logarithm."""

    low: float
    high: float
    log: bool = False


FACTORS: Mapping[str, float] = MappingProxyType({"learning_rate": 30.0, "rho": 10.0})
"""Largest factor between an option and its default, in both directions; the logarithm
is uniform."""

RANGES: Mapping[str, Range] = MappingProxyType({"alpha": Range(0.1, 1.0)})
"""Ranges that do not depend on the default."""
