"""Boxes around arrays, as flax makes them, and leaves named without them.

A tree of ``nnx.split`` holds its arrays in ``nnx.Variable``s, one of linen's
``with_partitioning`` in ``Partitioned``s. Their key paths end in ``.value``, which is
no name of a parameter. flax is not imported for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from jaxopt_lab.core.typing import PyTree

_BOXES = frozenset({"Variable", "AxisMetadata"})


def is_box(x: Any) -> bool:
    """Whether ``x`` is a flax container of one value.

    Args:
      x: anything; the ``is_leaf`` of ``jax.tree.map``.

    Returns:
      True for ``nnx.Variable`` and linen's ``AxisMetadata``.
    """
    return any(
        c.__name__ in _BOXES and c.__module__.startswith("flax.")
        for c in type(x).__mro__
    )


def leaves_with_path(
    tree: PyTree, is_leaf: Callable[[Any], bool] | None = None
) -> list[tuple[tuple[Any, ...], Any]]:
    """``jax.tree.leaves_with_path`` with the names of boxes for what is in them.

    Args:
      tree: any tree.
      is_leaf: as in ``jax.tree.leaves_with_path``.

    Returns:
      Pairs of path and leaf, the leaves in the order of ``jax.tree.leaves``.
    """

    def ends(x: Any) -> bool:
        return is_box(x) or (is_leaf is not None and is_leaf(x))

    found = []
    for path, leaf in jax.tree.leaves_with_path(tree, is_leaf=ends):
        if not is_box(leaf):
            found.append((path, leaf))
            continue
        inside = jax.tree.leaves_with_path(leaf, is_leaf=is_leaf)
        found.extend(((*path, *inner[1:]), value) for inner, value in inside)
    return found


def map_with_path(f: Callable[..., Any], tree: PyTree, *rest: PyTree) -> PyTree:
    """``jax.tree_util.tree_map_with_path`` with the names of ``leaves_with_path``.

    Args:
      f: ``f(path, leaf, *others)``.
      tree: the tree that gives structure and paths.
      *rest: trees of its structure.

    Returns:
      The tree of the results.

    >>> map_with_path(lambda path, x: len(path) * x, {"a": [1, 2]})
    {'a': [2, 4]}
    """
    paths = [path for path, _ in leaves_with_path(tree)]
    leaves, structure = jax.tree.flatten(tree)
    others = [structure.flatten_up_to(t) for t in rest]
    columns = zip(paths, leaves, *others, strict=True)
    return structure.unflatten([f(*column) for column in columns])


def unboxed(tree: PyTree) -> PyTree:
    """The tree with the contents of boxes in their places.

    Args:
      tree: any tree.

    Returns:
      A tree of the same leaves.
    """

    def content(x: Any) -> Any:
        if not is_box(x):
            return x
        leaves = jax.tree.leaves(x)
        return leaves[0] if len(leaves) == 1 else x

    return jax.tree.map(content, tree, is_leaf=is_box)
