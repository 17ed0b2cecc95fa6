"""Tiny inputs of layers of detectors."""

from __future__ import annotations

from typing import Any

import numpy as np


def pyramid() -> dict[str, Any]:
    """Two levels of four images of two features, about 1.

    >>> [level.shape for level in pyramid()["x"]]
    [(4, 4, 2, 2), (4, 2, 1, 2)]
    """
    rng = np.random.default_rng(7)
    shapes = ((4, 4, 2, 2), (4, 2, 1, 2))
    return {"x": tuple(rng.normal(1.0, 2.0, shape) for shape in shapes)}
