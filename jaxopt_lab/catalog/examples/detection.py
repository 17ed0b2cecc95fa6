"""Tiny inputs of layers and losses of detectors."""

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


def two_sets() -> dict[str, Any]:
    """Four examples of two queries and three vectors of memory, of four features.

    >>> [x.shape for x in two_sets()["x"]]
    [(4, 2, 4), (4, 3, 4)]
    """
    rng = np.random.default_rng(8)
    x = rng.normal(size=(4, 2, 4)), rng.normal(size=(4, 3, 4))
    return {"x": x, "heads": 2, "depth": 1, "hidden": 3}


def paired() -> dict[str, Any]:
    """Embeddings of five pairs.

    >>> paired()["b"].shape
    (5, 3)
    """
    rng = np.random.default_rng(9)
    return {"outputs": rng.normal(size=(5, 3)), "b": rng.normal(size=(5, 3))}


def rows() -> dict[str, Any]:
    """Rows of four numbers that sum to 1, and other ones.

    >>> rows()["outputs"].sum(axis=1).tolist()
    [1.0, 1.0, 1.0]
    """
    p = np.array([[1, 2, 4, 1], [1, 5, 1, 1], [2, 2, 2, 2]]) / 8
    t = np.array([[3, 1, 2, 2], [2, 4, 1, 1], [4, 2, 1, 1]]) / 8
    return {"outputs": p, "t": t, "perfect": t}
