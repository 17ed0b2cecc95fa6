"""Architectures as trees, and the shapes that pass through them."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from typing import Any

from jaxopt_lab.core.errors import InputError

Shape = tuple[int, ...]
"""``(H, W, C)`` in image mode, ``(S, D)`` in column mode; without the batch."""

KINDS = ("sequential", "branching", "routing", "computation")
OPS = ("identity", "linear", "norm", "relu", "softmax", "position")
AGGREGATES = ("add", "concat", "dot", "scaled_dot")


class ShapeError(InputError):
    """A function of the grammar that does not take a shape."""


@dataclasses.dataclass(frozen=True)
class Node:
    """A module of the grammar.

    Attributes:
      kind: one of ``KINDS``.
      options: of a computation ``(op, units or 0)``; of branching ``("clone" or
        "group", branches, aggregate)``; of routing ``(before, after)``, each
        ``("identity",)``, ``("permute", axes...)``, ``("im2col", kernel, stride,
        padding)`` or, after, ``("col2im",)``.
      children: two for sequential and branching in two; one, of which every branch has
        a copy with weights of its own, for more branches; one for routing.
    """

    kind: str
    options: tuple[Any, ...] = ()
    children: tuple[Node, ...] = ()


def as_text(node: Node) -> str:
    """A tree as JSON text, equal for equal trees.

    Args:
      node: the tree.

    Returns:
      The text.

    >>> as_text(Node("computation", ("linear", 16)))
    '["computation",["linear",16],[]]'
    """

    def plain(node: Node) -> list[Any]:
        return [node.kind, node.options, [plain(child) for child in node.children]]

    return json.dumps(plain(node), separators=(",", ":"))


def from_text(text: str) -> Node:
    """The tree of ``as_text``.

    Args:
      text: JSON.

    Returns:
      The tree.

    Raises:
      InputError: it is no tree.

    >>> node = Node("computation", ("relu", 0))
    >>> from_text(as_text(node)) == node
    True
    """

    def tuples(value: Any) -> Any:
        return tuple(map(tuples, value)) if isinstance(value, list) else value

    def read(value: Any) -> Node:
        kind, options, children = value
        if kind not in KINDS:
            raise ValueError(kind)
        return Node(kind, tuples(options), tuple(map(read, children)))

    try:
        return read(json.loads(text))
    except (ValueError, TypeError) as error:
        raise InputError(f"no architecture: {text[:60]!r}") from error


def nodes_of(node: Node, path: tuple[int, ...] = ()) -> Iterator[tuple[Any, Node]]:
    """All modules of a tree with their places, from the root.

    Args:
      node: the tree.
      path: place of its root.

    Yields:
      Places and modules.

    >>> leaf = Node("computation", ("relu", 0))
    >>> [path for path, _ in nodes_of(Node("sequential", (), (leaf, leaf)))]
    [(), (0,), (1,)]
    """
    yield path, node
    for i, child in enumerate(node.children):
        yield from nodes_of(child, (*path, i))


def branches_of(node: Node) -> tuple[Node, ...]:
    """The modules of all branches: copies of one where there are more than two.

    Args:
      node: a branching.

    Returns:
      As many as branches.
    """
    many = node.options[1]
    return node.children if len(node.children) == many else node.children * many


def computations(node: Node) -> int:
    """Number of computations that run, copies of branches included.

    Args:
      node: the tree.

    Returns:
      The number.

    >>> leaf = Node("computation", ("relu", 0))
    >>> computations(Node("branching", ("clone", 8, "add"), (leaf,)))
    8
    """
    if node.kind == "computation":
        return 1
    parts = branches_of(node) if node.kind == "branching" else node.children
    return sum(map(computations, parts))


def infer_shape(node: Node, shape: Shape) -> Shape:
    """The shape behind a module.

    Args:
      node: the module.
      shape: in front of it.

    Returns:
      The shape.

    Raises:
      ShapeError: a function inside does not take the shape that comes to it.

    >>> infer_shape(Node("computation", ("linear", 16)), (8, 8, 1))
    (8, 8, 16)
    """
    if node.kind == "computation":
        return computed_shape(node.options, shape)
    if node.kind == "sequential":
        for child in node.children:
            shape = infer_shape(child, shape)
        return shape
    if node.kind == "branching":
        split, many, aggregate = node.options
        part = split_shape(split, many, shape)
        parts = [infer_shape(branch, part) for branch in node.children]
        parts = parts if len(parts) == many else parts * many
        return aggregated_shape(aggregate, parts)
    before, after = node.options
    inner = routed_shape(before, shape)
    out = infer_shape(node.children[0], inner)
    return back_shape(after, before, shape, out)


def computed_shape(options: tuple[Any, ...], shape: Shape) -> Shape:
    """Shape behind a computation.

    Args:
      options: its operation and units.
      shape: in front.

    Returns:
      The shape.

    Raises:
      ShapeError: the operation is unknown.
    """
    op, units = options
    if op not in OPS or (op == "linear" and units < 1):
        raise ShapeError(f"no computation: {options}")
    return (*shape[:-1], units) if op == "linear" else shape


def split_shape(split: str, many: int, shape: Shape) -> Shape:
    """Shape of each branch.

    Args:
      split: ``"clone"`` or ``"group"``, parts of the features.
      many: number of branches.
      shape: in front.

    Returns:
      The shape.

    Raises:
      ShapeError: the features are not divisible.
    """
    if split == "clone":
        return shape
    if split != "group" or shape[-1] % many:
        raise ShapeError(f"{shape[-1]} features do not split into {many} groups")
    return (*shape[:-1], shape[-1] // many)


def aggregated_shape(aggregate: str, parts: list[Shape]) -> Shape:
    """Shape of branches that are put together.

    Args:
      aggregate: one of ``AGGREGATES``; dot products are of two columns, ``(S, D)`` and
        ``(D, E)``.
      parts: shapes of the branches.

    Returns:
      The shape.

    Raises:
      ShapeError: they do not fit together.
    """
    first = parts[0]
    if aggregate == "add" and all(part == first for part in parts):
        return first
    if aggregate == "concat" and all(part[:-1] == first[:-1] for part in parts):
        return (*first[:-1], sum(part[-1] for part in parts))
    columns = len(parts) == 2 and all(len(part) == 2 for part in parts)
    if aggregate.endswith("dot") and columns and first[1] == parts[1][0]:
        return (first[0], parts[1][1])
    raise ShapeError(f"{aggregate} does not take {parts}")


def windows(kind: tuple[Any, ...], shape: Shape) -> tuple[int, int]:
    """Rows and columns of the windows of ``im2col``.

    Args:
      kind: ``("im2col", kernel, stride, padding)``.
      shape: ``(H, W, C)``.

    Returns:
      Two numbers.

    Raises:
      ShapeError: the input is no image, or no window fits.
    """
    _, kernel, stride, padding = kind
    if len(shape) != 3:
        raise ShapeError(f"im2col takes images; got {shape}")
    rows, columns = ((n + 2 * padding - kernel) // stride + 1 for n in shape[:2])
    if rows < 1 or columns < 1:
        raise ShapeError(f"no window of {kernel} fits in {shape}")
    return rows, columns


def routed_shape(kind: tuple[Any, ...], shape: Shape) -> Shape:
    """Shape behind what stands before the module of a routing.

    Args:
      kind: the function.
      shape: in front.

    Returns:
      The shape.

    Raises:
      ShapeError: it does not take the shape.
    """
    if kind[0] == "identity":
        return shape
    if kind[0] == "permute":
        if sorted(kind[1:]) != list(range(len(shape))):
            raise ShapeError(f"no permutation of {shape}: {kind[1:]}")
        return tuple(shape[axis] for axis in kind[1:])
    if kind[0] == "im2col":
        return (math.prod(windows(kind, shape)), shape[-1] * kind[1] ** 2)
    raise ShapeError(f"no function before a module: {kind}")


def back_shape(
    after: tuple[Any, ...], before: tuple[Any, ...], outer: Shape, shape: Shape
) -> Shape:
    """Shape behind what stands after the module of a routing.

    Args:
      after: the function; ``col2im`` needs ``im2col`` before, and lays its columns out
        as an image with a pixel for each window.
      before: what stands before.
      outer: shape in front of the routing.
      shape: behind the module.

    Returns:
      The shape.

    Raises:
      ShapeError: it does not take the shape.
    """
    if after[0] != "col2im":
        if after[0] == "im2col":
            raise ShapeError("im2col stands before a module")
        return routed_shape(after, shape)
    if before[0] != "im2col" or len(shape) != 2:
        raise ShapeError(f"col2im needs the columns of an im2col; got {shape}")
    grid = windows(before, outer)
    if math.prod(grid) != shape[0]:
        raise ShapeError(f"{shape[0]} columns are no image of {grid}")
    return (*grid, shape[1])
