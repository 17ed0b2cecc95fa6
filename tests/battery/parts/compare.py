"""Comparisons of trees of arrays that say what differs."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

TIGHT = {"rtol": 1e-11, "atol": 1e-12}


def _pairs(a: Any, b: Any) -> list[tuple[str, Any, Any]]:
    assert jax.tree.structure(a) == jax.tree.structure(b), (
        f"other structure: {jax.tree.structure(a)} against {jax.tree.structure(b)}"
    )
    paths = [jax.tree_util.keystr(p) for p, _ in jax.tree.leaves_with_path(a)]
    return list(zip(paths, jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def assert_close(a: Any, b: Any, words: str, *, rtol: float, atol: float) -> None:
    """Equal up to a tolerance, NaN where the other has one."""
    for path, x, y in _pairs(a, b):
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        assert x.shape == y.shape, f"{words}: {path} {x.shape} against {y.shape}"
        close = np.isclose(x, y, rtol=rtol, atol=atol, equal_nan=True)
        with np.errstate(invalid="ignore"):
            gap = np.max(np.abs(x - y), initial=0.0)
        assert np.all(close), f"{words}: {path} differs by {gap:.3g}"


def assert_equal(a: Any, b: Any, words: str) -> None:
    """Equal to the last bit, NaN where the other has one."""
    assert_close(a, b, words, rtol=0.0, atol=0.0)


def assert_finite(tree: Any, words: str) -> None:
    """Every number of a tree is finite."""
    for path, x in jax.tree.leaves_with_path(tree):
        good = np.all(np.isfinite(np.asarray(x, np.float64)))
        assert good, f"{words}: {jax.tree_util.keystr(path)} is not finite"
