"""Comparing states in which there may be typed keys."""

from __future__ import annotations

from typing import Any

import chex
import jax
import numpy as np

from battery.programs import without_keys

# Normal numbers are drawn in float32 even for parameters in float64. A program may join
# products and sums of their polynomial, or not: between programs they differ by units
# of 2**-23 (by one, measured), and parameters, average and precision by as much of
# their standard deviation. Six units are allowed: three of a number between 2 and 4.
_DRAWN = {"bsam": 1 / np.sqrt(0.75 * 50_000 * 10)}
_UNITS = 6 * 2.0**-23


def tolerance(
    row: Any, *, rtol: float = 1e-11, atol: float = 1e-13
) -> dict[str, float]:
    """Of what two programs of a row compute in float64."""
    return {"rtol": rtol, "atol": max(atol, _UNITS * _DRAWN.get(row.name, 0.0))}


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
