"""Trees that were seen before, told by the identity of their leaves."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import jax

from jaxopt_lab.core.typing import PyTree


class SeenTrees:
    """Leaves seen so far, without keeping them alive.

    >>> import jax.numpy as jnp
    >>> seen, x = SeenTrees(), jnp.ones(2)
    >>> seen.add({"w": x})
    >>> seen.has({"w": x}), seen.has({"w": x + 0}), seen.has({})
    (True, False, False)
    """

    def __init__(self) -> None:
        self._refs: dict[int, Callable[[], Any]] = {}

    def add(self, tree: PyTree) -> None:
        """Remember the leaves of a tree."""
        for leaf in jax.tree.leaves(tree):
            self._refs[id(leaf)] = _reference(leaf)

    def has(self, tree: PyTree) -> bool:
        """Whether there are leaves, and all of them were seen."""
        leaves = jax.tree.leaves(tree)
        known = (self._refs.get(id(leaf)) for leaf in leaves)
        pairs = zip(leaves, known, strict=True)
        return bool(leaves) and all(ref and ref() is leaf for leaf, ref in pairs)


def _reference(leaf: Any) -> Callable[[], Any]:
    try:
        return weakref.ref(leaf)
    except TypeError:  # a number
        return lambda: leaf
