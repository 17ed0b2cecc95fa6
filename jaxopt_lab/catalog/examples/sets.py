"""Tiny sets of points: inputs of metrics of two sets."""

from __future__ import annotations

from typing import Any

import numpy as np


def two_sets() -> dict[str, Any]:
    """Real and generated points, and those at the ends of the range.

    >>> sorted(two_sets())
    ['best', 'generated', 'k', 'real', 'worst']
    """
    rng = np.random.default_rng(0)
    real = rng.normal(size=(12, 2))
    generated = rng.normal(size=(9, 2)) + 0.6
    return {
        "real": real,
        "generated": generated,
        "best": real,
        "worst": generated + 1e3,
        "k": 2,
    }
