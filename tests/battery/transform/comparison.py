"""Comparing states in which there may be typed keys."""

from __future__ import annotations

from typing import Any

import chex
import jax
import numpy as np

from battery.programs import without_keys


def assert_close(a: Any, b: Any, **tolerance: Any) -> None:
    """``chex.assert_trees_all_close`` for states."""
    chex.assert_trees_all_close(without_keys(a), without_keys(b), **tolerance)


def assert_equal(a: Any, b: Any) -> None:
    """``chex.assert_trees_all_equal`` for states."""
    chex.assert_trees_all_equal(without_keys(a), without_keys(b))


def gap(a: Any, b: Any) -> float:
    """Euclidean distance of two trees of numbers."""
    leaves = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    squares = [np.sum((np.asarray(x) - np.asarray(y)) ** 2) for x, y in leaves]
    return float(np.sqrt(sum(squares)))
