"""Graphs and hypergraphs as arrays of edges, checked on the host."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np

from jaxopt_lab.core.errors import InputError


class Graph(NamedTuple):
    """Directed edges; an undirected graph has both directions of each.

    Attributes:
      senders: ``(..., E)`` whole numbers, the node that an edge starts from.
      receivers: ``(..., E)``, the node that it ends in.
      weight: ``(..., E)`` at least 0; ``None``: 1. An edge of weight 2 counts twice.
      mask: ``(..., E)``, 0 for padding; ``None``: every edge counts.
    """

    senders: Any
    receivers: Any
    weight: Any = None
    mask: Any = None


class Hypergraph(NamedTuple):
    """Pairs of a node and a hyperedge that it belongs to.

    Attributes:
      nodes: ``(..., P)`` whole numbers.
      edges: ``(..., P)``, the hyperedge of each pair.
      weight: ``(..., M)`` real, at least 0, one for each hyperedge.
      mask: ``(..., P)``, 0 for padding; ``None``: every pair counts.
    """

    nodes: Any
    edges: Any
    weight: Any
    mask: Any = None


def make_graph(
    senders: Any,
    receivers: Any,
    num_nodes: int,
    *,
    weight: Any = None,
    undirected: bool = False,
) -> Graph:
    """A graph of known edges, checked.

    Args:
      senders: ``(E,)`` whole numbers from 0.
      receivers: ``(E,)``.
      num_nodes: number of nodes.
      weight: ``(E,)``, at least 0; ``None``: 1.
      undirected: add the other direction of every edge that is no loop.

    Returns:
      The graph, in NumPy arrays of int32.

    Raises:
      InputError: there is no node, an edge names a node that does not exist, or sizes
        or weights do not fit.

    >>> make_graph([0, 1], [1, 1], 2, undirected=True).senders.tolist()
    [0, 1, 1]
    """
    if num_nodes < 1:
        raise InputError(f"a graph must have at least one node; got {num_nodes}")
    ends = [_indices(n, x) for n, x in (("senders", senders), ("receivers", receivers))]
    if ends[0].shape != ends[1].shape:
        raise InputError(
            "senders and receivers must have one entry for each edge; got "
            f"{ends[0].shape} and {ends[1].shape}"
        )
    for name, nodes in zip(("senders", "receivers"), ends, strict=True):
        check_indices(name, nodes, num_nodes, "nodes")
    weight = _weights(weight, ends[0].shape)
    if undirected:
        other = ends[0] != ends[1]
        ends = [
            np.concatenate([a, b[other]]) for a, b in zip(ends, ends[::-1], strict=True)
        ]
        weight = None if weight is None else np.concatenate([weight, weight[other]])
    return Graph(ends[0], ends[1], weight)


def make_hypergraph(
    nodes: Any, edges: Any, num_nodes: int, num_edges: int, *, weight: Any = None
) -> Hypergraph:
    """A hypergraph of known pairs, checked.

    Args:
      nodes: ``(P,)`` whole numbers from 0.
      edges: ``(P,)``, the hyperedge that each of them belongs to.
      num_nodes: number of nodes.
      num_edges: number of hyperedges.
      weight: ``(num_edges,)``, at least 0; ``None``: 1.

    Returns:
      The hypergraph, in NumPy arrays; its weights are float32 by default.

    Raises:
      InputError: there is no node or hyperedge, a pair names one that does not exist,
        or sizes or weights do not fit.

    >>> make_hypergraph([0, 1, 1], [0, 0, 1], 2, 2).weight.tolist()
    [1.0, 1.0]
    """
    if num_nodes < 1 or num_edges < 1:
        raise InputError(
            "a hypergraph must have at least one node and one hyperedge; got "
            f"{num_nodes} and {num_edges}"
        )
    pair = [_indices(n, x) for n, x in (("nodes", nodes), ("edges", edges))]
    if pair[0].shape != pair[1].shape:
        raise InputError(
            "nodes and edges must have one entry for each pair; got "
            f"{pair[0].shape} and {pair[1].shape}"
        )
    check_indices("nodes", pair[0], num_nodes, "nodes")
    check_indices("edges", pair[1], num_edges, "hyperedges")
    given = _weights(weight, (num_edges,))
    given = np.ones(num_edges, np.float32) if given is None else given
    return Hypergraph(pair[0], pair[1], given)


def graph_hyperedges(graph: Graph, num_nodes: int) -> Hypergraph:
    """The neighbourhoods of a graph: hyperedge i is i and those that send to it.

    Args:
      graph: of known edges, without padding.
      num_nodes: number of nodes.

    Returns:
      A hypergraph of as many hyperedges as nodes; a node comes once in each.

    >>> found = graph_hyperedges(make_graph([0], [1], 2), 2)
    >>> found.nodes.tolist(), found.edges.tolist()
    ([0, 0, 1], [0, 1, 1])
    """
    loops = np.arange(num_nodes)
    edges = np.concatenate([loops, np.asarray(graph.receivers)])
    nodes = np.concatenate([loops, np.asarray(graph.senders)])
    pairs = np.unique(np.stack([edges, nodes]), axis=1)
    return make_hypergraph(pairs[1], pairs[0], num_nodes, num_nodes)


def check_indices(name: str, indices: np.ndarray, count: int, things: str) -> None:
    """Refuse indices of things that do not exist.

    Args:
      name: of the argument, for the message.
      indices: known whole numbers.
      count: number of things.
      things: their name, for the message.

    Raises:
      InputError: an index is below 0, or not below ``count``.
    """
    wrong = indices[(indices < 0) | (indices >= count)]
    if wrong.size:
        raise InputError(
            f"{name} must name {things} from 0 to {count - 1}; got {wrong.flat[0]}"
        )


def _indices(name: str, values: Any) -> np.ndarray:
    array = np.asarray(jax.device_get(values))
    if array.size == 0:
        array = array.astype(np.int32)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise InputError(
            f"{name} must be whole numbers (E,); got {array.dtype}{array.shape}"
        )
    return array.astype(np.int32)


def _weights(weight: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    if weight is None:
        return None
    array = np.asarray(jax.device_get(weight))
    if not np.issubdtype(array.dtype, np.floating):
        array = array.astype(np.float32)
    if array.shape != shape or not np.all(array >= 0):
        raise InputError(
            f"weight must be numbers of at least 0 of shape {shape}; got "
            f"{array.dtype}{array.shape} with the least {array.min(initial=np.inf)}"
        )
    return array
