"""Graphs of networkx and of files, as arrays of edges and back (extra ``graphs``)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.extras import need
from jaxopt_lab.layers.graph.graphs import Graph, make_graph

READERS = {
    ".edgelist": "read_edgelist",
    ".adjlist": "read_adjlist",
    ".graphml": "read_graphml",
    ".gml": "read_gml",
    ".gexf": "read_gexf",
    ".net": "read_pajek",
}
"""Functions of networkx by the suffix of a file."""


class NamedGraph(NamedTuple):
    """A graph with the names of its nodes.

    Attributes:
      graph: edges; of an undirected graph both directions.
      names: of the nodes, in the order of their numbers.
    """

    graph: Graph
    names: tuple[Hashable, ...]


def from_networkx(graph: Any, *, weight: str = "weight") -> NamedGraph:
    """A graph of networkx as arrays.

    Args:
      graph: a ``networkx.Graph``, ``DiGraph`` or one of several edges, of which each
        counts; an undirected one gets both directions of every edge that is no loop.
      weight: attribute of edges that is their weight; where no edge has it all are 1,
        and where some have it the others are 1.

    Returns:
      The graph, and the names of its nodes in the order of ``graph.nodes``.

    Raises:
      InputError: it is no graph of networkx, has no node, or a weight is no number of
        at least 0.

    >>> from_networkx([(0, 1)])
    Traceback (most recent call last):
      ...
    jaxopt_lab.core.errors.InputError: graph must be one of networkx; got list
    """
    if not all(hasattr(graph, n) for n in ("nodes", "edges", "is_directed")):
        raise InputError(f"graph must be one of networkx; got {type(graph).__name__}")
    names = tuple(graph.nodes)
    places = {name: i for i, name in enumerate(names)}
    edges = list(graph.edges(data=True))
    weights = None
    if any(weight in data for _, _, data in edges):
        try:
            weights = np.array([float(d.get(weight, 1.0)) for _, _, d in edges])
        except (TypeError, ValueError) as error:
            raise InputError(f"the attribute {weight!r} of an edge: {error}") from None
        weights = weights.astype(np.float32)
    senders, receivers = (
        np.array([places[edge[i]] for edge in edges], np.int32) for i in (0, 1)
    )
    undirected = not graph.is_directed()
    made = make_graph(
        senders, receivers, len(names), weight=weights, undirected=undirected
    )
    return NamedGraph(made, names)


def to_networkx(
    graph: Graph, num_nodes: int, *, names: Sequence[Hashable] | None = None
) -> Any:
    """A graph of networkx, to be drawn, saved or studied there.

    Args:
      graph: edges; those that the mask leaves out are padding.
      num_nodes: number of nodes.
      names: of the nodes; ``None``: their numbers.

    Returns:
      A ``networkx.DiGraph``, or a ``MultiDiGraph`` where an edge comes twice; its
      edges have the attribute ``weight`` if the graph has weights. Call its
      ``to_undirected()`` where both directions are there.

    Raises:
      InputError: networkx is not installed, the names are not one for each node, or
        sizes do not fit.

    >>> to_networkx(make_graph([0], [1], 2), 2, names=["a"])
    Traceback (most recent call last):
      ...
    jaxopt_lab.core.errors.InputError: names must be 2 different ones; got 1
    """
    kept = slice(None) if graph.mask is None else np.asarray(graph.mask) != 0
    senders, receivers = (
        np.asarray(ends)[kept] for ends in (graph.senders, graph.receivers)
    )
    weight = None if graph.weight is None else np.asarray(graph.weight)[kept]
    checked = make_graph(senders, receivers, num_nodes, weight=weight)
    called = tuple(range(num_nodes) if names is None else names)
    if len(called) != num_nodes or len(set(called)) != num_nodes:
        raise InputError(
            f"names must be {num_nodes} different ones; got {len(set(called))}"
        )
    networkx = need("networkx", "to_networkx", "graphs")
    pairs = list(zip(checked.senders.tolist(), checked.receivers.tolist(), strict=True))
    several = len(set(pairs)) < len(pairs)
    made = networkx.MultiDiGraph() if several else networkx.DiGraph()
    made.add_nodes_from(called)
    weights = [None] * len(pairs) if weight is None else weight.tolist()
    for (sender, receiver), own in zip(pairs, weights, strict=True):
        more = {} if own is None else {"weight": own}
        made.add_edge(called[sender], called[receiver], **more)
    return made


def read_graph(path: str | Path, *, weight: str = "weight") -> NamedGraph:
    """Read a graph from a file.

    Args:
      path: of a file whose suffix is one of ``READERS``.
      weight: as in ``from_networkx``.

    Returns:
      The graph and the names of its nodes.

    Raises:
      InputError: the suffix is unknown, networkx is not installed, or the file is not
        there or cannot be read.

    >>> read_graph("friends.txt")
    Traceback (most recent call last):
      ...
    jaxopt_lab.core.errors.InputError: friends.txt: accepted: .edgelist, .adjlist, \
.graphml, .gml, .gexf, .net
    """
    path = Path(path)
    if path.suffix not in READERS:
        raise InputError(f"{path}: accepted: {', '.join(READERS)}")
    networkx = need("networkx", "read_graph", "graphs")
    try:
        found = getattr(networkx, READERS[path.suffix])(path)
    except Exception as error:
        words = " ".join(str(error).split())[:160]
        raise InputError(f"{path} cannot be read: {words}") from None
    return from_networkx(found, weight=weight)
