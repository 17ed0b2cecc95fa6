"""Sets of points with planted noise and lost modes, and recorded cases of them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from support import vectors


def meta(case: dict[str, Any]) -> dict[str, Any]:
    """The description of a recorded case."""
    return json.loads(str(case["meta"]))


def unhashed_cases() -> list[str]:
    """Recorded cases whose neighbours do not depend on the hash family."""
    names = vectors.cases("lsh_precision_recall")
    return [name for name in names if name.endswith("_sign")]


def ring(rng: Any, modes: int, count: int = 120) -> np.ndarray:
    """Points around the first modes of a ring of ten."""
    angles = 2 * np.pi * rng.integers(0, modes, count) / 10
    centers = 5 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return centers + 0.3 * rng.normal(size=(count, 2))


def planted() -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
    """Real points; generated ones with more and more noise; of fewer modes."""
    rng = np.random.default_rng(1)
    real, good, noise = ring(rng, 10), ring(rng, 10), rng.normal(size=(120, 2))
    noisy = [good + scale * noise for scale in (0.0, 0.5, 1.5, 4.0)]
    fewer = [ring(np.random.default_rng(2), modes) for modes in (10, 7, 4, 1)]
    return real, noisy, fewer
