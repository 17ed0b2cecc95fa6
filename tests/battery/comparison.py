"""Comparing states in which there may be typed keys."""

from __future__ import annotations

from typing import Any

import chex
import jax
import jax.numpy as jnp


def without_keys(tree: Any) -> Any:
    """The tree with the bits of each typed key in its place; numpy knows no keys."""

    def bits(x: Any) -> Any:
        is_key = hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
        return jax.random.key_data(x) if is_key else x

    return jax.tree.map(bits, tree)


def assert_close(a: Any, b: Any, **tolerance: float) -> None:
    """``chex.assert_trees_all_close`` for states."""
    chex.assert_trees_all_close(without_keys(a), without_keys(b), **tolerance)


def assert_equal(a: Any, b: Any) -> None:
    """``chex.assert_trees_all_equal`` for states."""
    chex.assert_trees_all_equal(without_keys(a), without_keys(b))
