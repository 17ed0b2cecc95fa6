"""Several graphs side by side in padded arrays of fixed sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, COUNT_OR_ZERO, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype, safe_divide
from jaxopt_lab.layers.graph.graphs import Graph, make_graph

Pool = Literal["mean", "sum", "max"]


class GraphBatch(NamedTuple):
    """Graphs side by side, which share no edge; what is behind them is padding.

    Attributes:
      nodes: ``(N, features)``, 0 in the padding.
      graph: the edges of all graphs; ``graph.mask`` is False for padding.
      node_mask: ``(N,)`` bool.
      graph_index: ``(N,)`` int32, the graph of each node; ``G`` in the padding.
      graph_mask: ``(G,)`` bool.
    """

    nodes: Any
    graph: Graph
    node_mask: Any
    graph_index: Any
    graph_mask: Any


def pad_graphs(
    graphs: Sequence[tuple[Any, Graph]],
    *,
    num_nodes: Annotated[int, COUNT],
    num_edges: Annotated[int, COUNT_OR_ZERO],
    num_graphs: Annotated[int, COUNT] | None = None,
) -> GraphBatch:
    """Graphs side by side, filled up to fixed sizes, so that one program has them all.

    Args:
      graphs: pairs of features ``(n, features)`` and a graph of n nodes, without
        padding.
      num_nodes: nodes of the result.
      num_edges: its edges.
      num_graphs: its graphs; ``None``: as many as are given.

    Returns:
      The batch, in NumPy arrays. Its leaves have no common leading axis: a train step
      takes it whole, and its loss has the masks.

    Raises:
      InputError: no graph is given, one has no node, an edge names a node that does not
        exist, some have weights and some have none, or they are larger than the sizes.

    >>> one = (np.ones((2, 3)), make_graph([0], [1], 2))
    >>> batch = pad_graphs([one, one], num_nodes=5, num_edges=4, num_graphs=3)
    >>> batch.graph.senders.tolist(), batch.graph_index.tolist()
    ([0, 2, 0, 0], [0, 0, 1, 1, 3])
    """
    sizes = {"num_nodes": num_nodes, "num_edges": num_edges, "num_graphs": num_graphs}
    check_arguments(pad_graphs, sizes)
    if not graphs:
        raise InputError("graphs must hold at least one graph; got none")
    features = [np.asarray(jax.device_get(x)) for x, _ in graphs]
    for i, x in enumerate(features):
        if x.ndim != 2 or not len(x) or x.shape[1] != features[0].shape[1]:
            raise InputError(
                f"graph {i} must have features of shape (n, {features[0].shape[-1]}) "
                f"with at least one node; got {x.shape}"
            )
    parts = [
        make_graph(g.senders, g.receivers, len(x), weight=g.weight)
        for x, (_, g) in zip(features, graphs, strict=True)
    ]
    if len({g.weight is None for g in parts}) > 1:
        raise InputError("weights must be given for all graphs or for none; got both")
    count = len(graphs) if num_graphs is None else num_graphs
    found = (sum(map(len, features)), sum(len(g.senders) for g in parts), len(graphs))
    wanted = (num_nodes, num_edges, count)
    for name, have, most in zip(
        ("nodes", "edges", "graphs"), found, wanted, strict=True
    ):
        if have > most:
            raise InputError(
                f"the graphs have {have} {name}, the padded batch num_{name}={most}"
            )
    starts = np.cumsum([0, *map(len, features)])[:-1]
    weights = None
    if parts[0].weight is not None:
        weights = _filled([g.weight for g in parts], num_edges)
    ends = [
        _filled([g[end] + s for g, s in zip(parts, starts, strict=True)], num_edges)
        for end in (0, 1)
    ]
    graph = Graph(ends[0], ends[1], weights, np.arange(num_edges) < found[1])
    index = np.full(num_nodes, count, np.int32)
    index[: found[0]] = np.repeat(np.arange(found[2]), list(map(len, features)))
    return GraphBatch(
        _filled(features, num_nodes),
        graph,
        np.arange(num_nodes) < found[0],
        index,
        np.arange(count) < found[2],
    )


def _filled(parts: Sequence[Any], count: int) -> np.ndarray:
    whole = np.concatenate(parts)
    width = [(0, count - len(whole))] + [(0, 0)] * (whole.ndim - 1)
    return np.pad(whole, width).astype(
        np.int32 if whole.dtype.kind == "i" else whole.dtype
    )


def pool_nodes(
    nodes: jax.Array, batch: GraphBatch, *, kind: Pool = "mean"
) -> jax.Array:
    """One row for each graph of a batch, from the rows of its nodes.

    Args:
      nodes: ``(N, features)``; rows of padding may hold anything.
      batch: the batch that the nodes are of.
      kind: mean, sum or maximum.

    Returns:
      ``(G, features)``, 0 for graphs that are padding. Sums are float32 for narrower
      types.

    Raises:
      InputError: ``kind`` is unknown, or the nodes are not those of the batch.

    >>> one = (np.ones((2, 3)), make_graph([0], [1], 2))
    >>> batch = pad_graphs([one, one], num_nodes=5, num_edges=4)
    >>> pool_nodes(jnp.arange(5.0)[:, None], batch).ravel().tolist()
    [0.5, 2.5]
    """
    check_arguments(pool_nodes, {"kind": kind})
    count = batch.graph_mask.shape[0]
    if nodes.ndim != 2 or nodes.shape[0] != batch.graph_index.shape[0]:
        raise InputError(
            f"nodes must be ({batch.graph_index.shape[0]}, features); got {nodes.shape}"
        )
    here = jnp.asarray(batch.node_mask)[:, None]
    # Padding goes to a segment of its own, which is dropped.
    index = jnp.where(here[:, 0], jnp.asarray(batch.graph_index), count)
    real = jnp.asarray(batch.graph_mask)[:, None]
    if kind == "max":
        lowest = jnp.asarray(-jnp.inf, nodes.dtype)
        found = jax.ops.segment_max(jnp.where(here, nodes, lowest), index, count + 1)
        return jnp.where(real, found[:count], 0)
    wide = jnp.where(here, nodes, 0).astype(accumulation_dtype(nodes.dtype))
    total = jax.ops.segment_sum(wide, index, count + 1)[:count]
    if kind == "mean":
        ones = here.astype(wide.dtype)
        total = safe_divide(total, jax.ops.segment_sum(ones, index, count + 1)[:count])
    return total.astype(nodes.dtype)
