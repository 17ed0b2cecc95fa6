"""Tiny inputs of layers."""

from __future__ import annotations

from typing import Any

import numpy as np


def normalized() -> dict[str, Any]:
    """Four examples of three positions and two features, about 1.

    >>> normalized()["x"].shape
    (4, 3, 2)
    """
    return {"x": np.random.default_rng(0).normal(1.0, 2.0, (4, 3, 2))}


def ghosts() -> dict[str, Any]:
    """The same in ghost batches of two examples.

    >>> ghosts()["ghost_size"]
    2
    """
    return {**normalized(), "ghost_size": 2}


def third_block() -> dict[str, Any]:
    """The same with five features, in the third block.

    >>> third_block()["x"].shape
    (4, 3, 5)
    """
    x = np.random.default_rng(1).normal(1.0, 2.0, (4, 3, 5))
    return {"x": x, "index": 3}
