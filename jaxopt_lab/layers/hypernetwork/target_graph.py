"""Graph of the parameters of a network, read from its program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.extend.core import Literal

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.jaxprs import subprograms
from jaxopt_lab.core.tree_paths import path_name

OPERATIONS = ("input", "output", "product", "conv", "scale", "shift", "lookup", "other")
"""Kinds of nodes: the operations by which parameters meet the data."""

_KINDS = {
    "dot_general": "product",
    "conv_general_dilated": "conv",
    "mul": "scale",
    "div": "scale",
    "add": "shift",
    "sub": "shift",
    "gather": "lookup",
    "dynamic_slice": "lookup",
}
_CALLED = ("pjit", "jit", "closed_call", "custom_jvp_call", "custom_vjp_call", "remat2")


class TargetGraph(NamedTuple):
    """The parameters of a network as nodes, and their order on the way of the data.

    Node 0 is the input, the last one the output, those between the parameters in the
    order of their tree.

    Attributes:
      names: of the nodes; paths of parameters.
      operations: of the nodes, of ``OPERATIONS``: how a parameter first meets the data.
      shapes: of the nodes, ``()`` of input and output.
      distances: steps along the data from a node to another, ``(n, n)``, -1 where there
        is no way.
      edges: booleans, ``(n, n)``: neighbours.
      tree: structure of the parameters.
    """

    names: tuple[str, ...]
    operations: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    distances: np.ndarray
    edges: np.ndarray
    tree: Any


class _Source(NamedTuple):
    """Nodes of a value: those it was made of, and those behind which it stands."""

    pure: frozenset[int]
    front: frozenset[int]


_CONSTANT = _Source(frozenset(), frozenset())


def parameter_graph(
    apply: Callable[..., Any], params: Any, *inputs: Any
) -> TargetGraph:
    """The graph of a network's parameters, from the program of its forward pass.

    A parameter follows another where its operation takes what the other's has given,
    through any operations without parameters between them; so does a residual sum. A
    parameter that is used twice is one node with the neighbours of both places.

    Args:
      apply: ``apply(params, *inputs) -> outputs``, arrays or trees; of a flax module
        its pure function, of a layer ``lambda p, x: layer.apply(p, {}, x,
        train=False)[0]``.
      params: a tree of arrays or of their shapes.
      *inputs: arrays or shapes.

    Returns:
      The ``TargetGraph``. Nothing is computed. The body of a loop is one operation.

    Raises:
      InputError: there is no parameter, or one has no effect on the outputs.

    >>> net = lambda p, x: jax.nn.relu(x @ p["w"] + p["b"]) @ p["v"]
    >>> zeros = lambda *shape: jax.ShapeDtypeStruct(shape, "float32")
    >>> params = {"b": zeros(4), "v": zeros(4, 2), "w": zeros(3, 4)}
    >>> graph = parameter_graph(net, params, zeros(5, 3))
    >>> dict(zip(graph.names, graph.operations))["b"], graph.distances[0].tolist()
    ('shift', [0, 2, 3, 1, 4])
    """
    leaves, tree = jax.tree.flatten(params)
    if not leaves:
        raise InputError("params must hold at least one array; got none")
    paths = [path for path, _ in jax.tree.leaves_with_path(params)]
    names = [path_name(path) for path in paths]
    closed = jax.make_jaxpr(apply)(params, *inputs)
    count, last = len(leaves), len(leaves) + 1
    kinds: dict[int, str] = {}
    edges = np.zeros((count + 2, count + 2), bool)

    def meet(nodes: frozenset[int], front: frozenset[int], kind: str) -> None:
        for node in nodes:
            kinds.setdefault(node, kind)
            for before in front - {node}:
                edges[before, node] = True

    def run(jaxpr: Any, given: list[_Source]) -> list[_Source]:
        found: dict[Any, _Source] = dict(zip(jaxpr.invars, given, strict=True))

        def of(atom: Any) -> _Source:
            known = not isinstance(atom, Literal)
            return found.get(atom, _CONSTANT) if known else _CONSTANT

        for eqn in jaxpr.eqns:
            sources = [of(atom) for atom in eqn.invars]
            name = eqn.primitive.name
            inner = list(subprograms(eqn)) if name in _CALLED else []
            if inner and len(inner[0].invars) == len(sources):
                results = run(inner[0], sources)
            else:
                pure = frozenset().union(*(s.pure for s in sources))
                front = frozenset().union(*(s.front for s in sources))
                if pure and front:
                    meet(pure, front, _KINDS.get(name, "other"))
                    one = _Source(frozenset(), pure)
                else:
                    one = _Source(pure, front)
                results = [one] * len(eqn.outvars)
            found.update(zip(eqn.outvars, results, strict=True))
        return [of(atom) for atom in jaxpr.outvars]

    data = len(closed.jaxpr.invars) - count
    first = [_Source(frozenset({i + 1}), frozenset()) for i in range(count)]
    first += [_Source(frozenset(), frozenset({0}))] * data
    for result in run(closed.jaxpr, first):
        for node in result.front | result.pure:
            edges[node, last] = True
        meet(result.pure, frozenset({0}), "other")
    for i, name in enumerate(names, start=1):
        if i not in kinds:
            raise InputError(f"params: {name} has no effect on the outputs")
    operations = ["input", *(kinds[i + 1] for i in range(count)), "output"]
    shapes = [(), *(tuple(leaf.shape) for leaf in leaves), ()]
    return TargetGraph(
        ("input", *names, "output"),
        tuple(operations),
        tuple(shapes),
        _distances(edges),
        edges,
        tree,
    )


def _distances(edges: np.ndarray) -> np.ndarray:
    """Lengths of the shortest ways, by breadth."""
    n = len(edges)
    found = np.full((n, n), -1)
    for start in range(n):
        reached, steps = {start}, 0
        layer = {start}
        while layer:
            found[start, list(layer)] = steps
            ahead = np.flatnonzero(edges[list(layer)].any(0)).tolist()
            layer = set(ahead) - reached
            reached |= layer
            steps += 1
    return found
