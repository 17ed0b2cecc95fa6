"""Tiny sets of points: inputs of metrics of two sets."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxopt_lab.metrics.hash_tables import HashTables


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


def fuzzy_sets() -> dict[str, Any]:
    """The same sets with so many neighbours that memberships are neither 0 nor 1.

    >>> fuzzy_sets()["k"]
    4
    """
    return {**two_sets(), "k": 4}


def hashed_sets() -> dict[str, Any]:
    """The same sets, and two hash tables of two hyperplanes.

    >>> hashed_sets()["hashes"].planes.shape
    (2, 2, 2)
    """
    rng = np.random.default_rng(1)
    planes: Any = rng.normal(size=(2, 2, 2))
    shifts: Any = rng.uniform(size=(2, 2))
    hashes = HashTables(planes, shifts)
    return {**two_sets(), "hashes": hashes, "family": "pstable", "width": 2.5}
