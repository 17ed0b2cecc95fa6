"""The grammar of einspace: draws and mutations whose shapes fit."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Annotated, Any

import jax
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.search.draws import generator
from jaxopt_lab.search.einspace.nodes import (
    AGGREGATES,
    KINDS,
    OPS,
    Node,
    Shape,
    ShapeError,
    aggregated_shape,
    back_shape,
    computations,
    computed_shape,
    infer_shape,
    nodes_of,
    routed_shape,
    split_shape,
)

_INNER = 0.68 / 3
_IDENTITY = ("identity",)
_COL2IM = ("col2im",)
_ATTEMPTS = 100
_BRANCH_ATTEMPTS = 3
_MOST_MODULES = 500


class _Draw:
    """Random numbers of one attempt, and the modules that it may still draw."""

    def __init__(self, rng: np.random.Generator, grammar: Grammar):
        self.rng, self.grammar, self.left = rng, grammar, _MOST_MODULES

    def shuffled(self, options: Sequence[Any]) -> list[Any]:
        """The options in a random order."""
        return [options[i] for i in self.rng.permutation(len(options))]

    def fits(self, shape: Shape) -> bool:
        """Whether an array is not too large."""
        return math.prod(shape) <= self.grammar.max_elements


@dataclasses.dataclass(frozen=True)
class Grammar:
    """Productions and their probabilities.

    Attributes:
      probabilities: of sequential, branching, routing and computation, the terminal.
      ops: computations.
      units: of linear ones.
      branches: numbers of branches.
      patches: kernel, stride and padding of ``im2col``.
      max_depth: modules inside of each other; at the last one only computations.
      max_computations: that run, copies of branches included.
      max_elements: of an array between two functions, for one example.

    >>> round(Grammar().mean_offspring(), 3)
    0.982
    """

    probabilities: tuple[float, float, float, float] = (_INNER, _INNER, _INNER, 0.32)
    ops: tuple[str, ...] = OPS
    units: tuple[int, ...] = tuple(2**i for i in range(4, 12))
    branches: tuple[int, ...] = (2, 4, 8)
    patches: tuple[tuple[int, int, int], ...] = (
        (1, 1, 0),
        (1, 2, 0),
        (3, 1, 1),
        (3, 2, 1),
        (4, 4, 0),
        (8, 8, 0),
        (16, 16, 0),
    )
    max_depth: Annotated[int, COUNT] = 8
    max_computations: Annotated[int, COUNT] = 64
    max_elements: Annotated[int, COUNT] = 2**16

    def __post_init__(self) -> None:
        check_arguments(Grammar, vars(self))
        p = self.probabilities
        if len(p) != 4 or not all(x >= 0 for x in p) or not math.isclose(sum(p), 1):
            raise InputError(
                "probabilities must be four numbers of at least 0 that sum to 1; got "
                f"{p}"
            )
        unknown = set(self.ops) - set(OPS)
        if unknown:
            raise InputError(f"ops must be of {OPS}; got {sorted(unknown)}")
        linear_only = set(self.ops) == {"linear"} and not self.units
        if not self.ops or p[3] == 0 or linear_only:
            raise InputError(
                "a grammar needs terminals: computations of a probability above 0; got "
                f"ops={self.ops} with {p[3]}"
            )

    def mean_offspring(self) -> float:
        """Modules inside of a module, on average where every shape fits.

        Returns:
          Below 1 where trees are finite without a limit of their depth.
        """
        in_two = self.branches.count(2) / max(len(self.branches), 1)
        inner = (2.0, 1 + in_two, 1.0, 0.0)
        return sum(p * n for p, n in zip(self.probabilities, inner, strict=True))


def sample_architecture(
    key: jax.Array, shape: Shape, *, grammar: Grammar | None = None
) -> Node:
    """An architecture that takes inputs of a shape.

    The tree is drawn depth first. A production that does not fit a shape is left out
    and another one drawn; where none is left the module around it is drawn again. A
    tree of too many computations is dropped as a whole. The root is no computation.

    Args:
      key: of the draws; the same key gives the same tree.
      shape: ``(H, W, C)`` or ``(S, D)``, one example.
      grammar: ``None``: the published one.

    Returns:
      The tree.

    Raises:
      InputError: no tree is found in 100 draws: the limits are too narrow.

    Differs from the code in its layout, channels last, and in that dot products are
    plain products of matrices, of which a routing may permute the second.

    Source: Ericsson et al., "einspace: Searching for Neural Architectures from
    Fundamental Operations", 2024 (https://arxiv.org/abs/2405.20838).

    >>> node = sample_architecture(jax.random.key(0), (8, 8, 1))
    >>> len(infer_shape(node, (8, 8, 1))) in (2, 3), node.kind != "computation"
    (True, True)
    """
    grammar = Grammar() if grammar is None else grammar
    rng = generator(key)
    for _ in range(_ATTEMPTS if math.prod(shape) <= grammar.max_elements else 0):
        node = _module(_Draw(rng, grammar), shape, 0, ("computation",))
        if node is not None and computations(node) <= grammar.max_computations:
            return node
    raise InputError(
        f"no architecture for inputs {shape} within max_depth={grammar.max_depth}, "
        f"max_computations={grammar.max_computations} and "
        f"max_elements={grammar.max_elements}"
    )


def mutate_architecture(
    key: jax.Array, node: Node, shape: Shape, *, grammar: Grammar | None = None
) -> Node:
    """An architecture that differs in one subtree.

    A module is drawn from all of them, and drawn again by another production than its
    own; a result whose shapes do not fit is dropped.

    Args:
      key: of the draws.
      node: the tree.
      shape: of the input.
      grammar: ``None``: the published one.

    Returns:
      The tree; its output may have another shape.

    Raises:
      InputError: none is found in 100 draws.

    >>> key = jax.random.key(0)
    >>> node = sample_architecture(key, (8, 8, 1))
    >>> mutate_architecture(key, node, (8, 8, 1)) == node
    False
    """
    grammar = Grammar() if grammar is None else grammar
    rng, places = generator(key), list(nodes_of(node))
    for _ in range(_ATTEMPTS):
        path, old = places[int(rng.integers(len(places)))]
        without = (old.kind,) if path else (old.kind, "computation")
        inside = _shape_at(node, shape, path)
        new = _module(_Draw(rng, grammar), inside, len(path), without)
        if new is None:
            continue
        child = _replaced(node, path, new)
        try:
            infer_shape(child, shape)
        except ShapeError:
            continue
        if computations(child) <= grammar.max_computations:
            return child
    raise InputError(f"no mutation of an architecture for inputs {shape} fits")


def _module(
    draw: _Draw, shape: Shape, depth: int, without: Sequence[str] = ()
) -> Node | None:
    """A module for a shape, or ``None`` if no production fits."""
    draw.left -= 1
    if draw.left < 0:
        return None
    last = depth + 1 >= draw.grammar.max_depth
    kinds = [k for k in KINDS if k not in without and (k == KINDS[3] or not last)]
    weights: dict[str, float] = dict(
        zip(KINDS, draw.grammar.probabilities, strict=True)
    )
    while kinds:
        p = np.array([weights[k] for k in kinds])
        if not p.sum():
            return None
        kind = kinds.pop(int(draw.rng.choice(len(kinds), p=p / p.sum())))
        node = _PRODUCTIONS[kind](draw, shape, depth + 1)
        if node is not None:
            return node
    return None


def _computation(draw: _Draw, shape: Shape, depth: int) -> Node | None:
    for op in draw.shuffled(draw.grammar.ops):
        for units in draw.shuffled(draw.grammar.units) if op == "linear" else (0,):
            options = (op, int(units))
            if draw.fits(computed_shape(options, shape)):
                return Node("computation", options)
    return None


def _sequential(draw: _Draw, shape: Shape, depth: int) -> Node | None:
    first = _module(draw, shape, depth)
    if first is None:
        return None
    second = _module(draw, infer_shape(first, shape), depth)
    return None if second is None else Node("sequential", (), (first, second))


def _branching(draw: _Draw, shape: Shape, depth: int) -> Node | None:
    combinations = itertools.product(("clone", "group"), draw.grammar.branches)
    for split, many in draw.shuffled(list(combinations)):
        try:
            part = split_shape(split, many, shape)
        except ShapeError:
            continue
        first = _module(draw, part, depth)
        if first is None:
            return None
        for _ in range(_BRANCH_ATTEMPTS if many == 2 else 1):
            children: tuple[Node, ...] = (first,)
            if many == 2:
                second = _module(draw, part, depth)
                if second is None:
                    return None
                children = (first, second)
            shapes = [infer_shape(child, part) for child in children]
            shapes = shapes if many == 2 else shapes * many
            for aggregate in draw.shuffled(AGGREGATES):
                try:
                    out = aggregated_shape(aggregate, shapes)
                except ShapeError:
                    continue
                if draw.fits(out):
                    return Node("branching", (split, many, aggregate), children)
    return None


def _permutations(shape: Shape) -> list[tuple[Any, ...]]:
    axes = list(itertools.permutations(range(len(shape))))[1:]
    return [("permute", *order) for order in axes]


def _routing(draw: _Draw, shape: Shape, depth: int) -> Node | None:
    patches = [("im2col", *patch) for patch in draw.grammar.patches]
    for before in draw.shuffled([_IDENTITY, *_permutations(shape), *patches]):
        try:
            inner = routed_shape(before, shape)
        except ShapeError:
            continue
        child = _module(draw, inner, depth) if draw.fits(inner) else None
        if child is None:
            continue
        out = infer_shape(child, inner)
        for after in draw.shuffled([_IDENTITY, *_permutations(out), _COL2IM]):
            try:
                back_shape(after, before, shape, out)
            except ShapeError:
                continue
            return Node("routing", (before, after), (child,))
    return None


_PRODUCTIONS: dict[str, Any] = {
    "sequential": _sequential,
    "branching": _branching,
    "routing": _routing,
    "computation": _computation,
}


def _shape_at(node: Node, shape: Shape, path: tuple[int, ...]) -> Shape:
    """The shape in front of the module at a place."""
    for i in path:
        if node.kind == "sequential" and i:
            shape = infer_shape(node.children[0], shape)
        elif node.kind == "branching":
            shape = split_shape(*node.options[:2], shape)
        elif node.kind == "routing":
            shape = routed_shape(node.options[0], shape)
        node = node.children[i]
    return shape


def _replaced(node: Node, path: tuple[int, ...], new: Node) -> Node:
    if not path:
        return new
    i, *rest = path
    children = list(node.children)
    children[i] = _replaced(children[i], tuple(rest), new)
    return dataclasses.replace(node, children=tuple(children))
