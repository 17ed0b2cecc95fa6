"""Sums and softmax over the edges that end in one node, padding left out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.known_values import known_values
from jaxopt_lab.core.shapes import flattened
from jaxopt_lab.core.trees import safe_divide, safe_sqrt
from jaxopt_lab.layers.graph.graphs import Graph, Hypergraph, check_indices
from jaxopt_lab.layers.masks import over_features, without_padding


class Edges(NamedTuple):
    """Edges of one graph, ready for sums.

    Attributes:
      senders: ``(E,)``, nodes that exist.
      receivers: ``(E,)``.
      weight: ``(E,)``, 0 for padding and for edges of padding; NaN where a traced edge
        names a node that does not exist.
      counts: ``(E,)`` bool, False for these.
    """

    senders: jax.Array
    receivers: jax.Array
    weight: jax.Array
    counts: jax.Array


def edges_of(graph: Graph, valid: jax.Array, dtype: Any, *, loops: bool) -> Edges:
    """The edges of one graph that count.

    Args:
      graph: arrays ``(E,)``.
      valid: ``(N,)`` bool, nodes that are no padding.
      dtype: of the weights.
      loops: add an edge of weight 1 from every valid node to itself.

    Returns:
      The edges; loops come last.
    """
    count = valid.shape[0]
    ends = [jnp.asarray(end) for end in (graph.senders, graph.receivers)]
    exists = [(end >= 0) & (end < count) for end in ends]
    ends = [jnp.where(e, end, 0) for e, end in zip(exists, ends, strict=True)]
    both = exists[0] & exists[1]
    counts = both if graph.mask is None else both & graph.mask.astype(bool)
    wrong = ~both if graph.mask is None else ~both & graph.mask.astype(bool)
    counts &= rows(valid, ends[0]) & rows(valid, ends[1])
    if graph.weight is None:
        weight = counts.astype(dtype)
    else:
        weight = jnp.where(counts, jnp.asarray(graph.weight).astype(dtype), 0)
    weight = jnp.where(wrong, jnp.asarray(jnp.nan, dtype), weight)
    if loops:
        ends = [jnp.concatenate([e, jnp.arange(count, dtype=e.dtype)]) for e in ends]
        weight = jnp.concatenate([weight, valid.astype(dtype)])
        counts = jnp.concatenate([counts, valid])
    return Edges(ends[0], ends[1], weight, counts)


def rows(array: jax.Array, indices: jax.Array) -> jax.Array:
    """Rows of an array at indices that are known to exist.

    Args:
      array: ``(N, ...)``.
      indices: ``(E,)``, from 0 to N - 1; others are taken to the nearer end.

    Returns:
      ``(E, ...)``.
    """
    return jnp.take(array, indices, axis=0, mode="clip")


def propagate(messages: jax.Array, factors: jax.Array, edges: Edges, count: int) -> Any:
    """The sum of what the senders of the edges of a node send to it.

    Args:
      messages: ``(N, ...)``, rows of the senders.
      factors: ``(E,)`` or ``(E, heads)``, of the leading axes of an edge's message.
      edges: the edges.
      count: number of nodes, N.

    Returns:
      ``(N, ...)``.
    """
    more = messages.ndim - factors.ndim
    by = factors.reshape(factors.shape + (1,) * more)
    here = edges.counts.reshape(edges.counts.shape + (1,) * (messages.ndim - 1))
    sent = jnp.where(here, rows(messages, edges.senders), 0) * by
    return jax.ops.segment_sum(sent, edges.receivers, count)


def normalized_weights(edges: Edges, count: int, kind: str) -> jax.Array:
    r"""Weights of edges over the degrees of their ends.

    Args:
      edges: the edges.
      count: number of nodes.
      kind: ``"symmetric"``, :math:`w_{ij} / \sqrt{d_i d_j}`; ``"mean"``, :math:`w_{ij}
        / d_i` for receivers i; ``"none"``.

    Returns:
      ``(E,)``; d is the sum of the weights of the edges that end in a node. 0 where a
      degree is 0, NaN where it is negative.
    """
    if kind == "none":
        return edges.weight
    degrees = jax.ops.segment_sum(edges.weight, edges.receivers, count)
    if kind == "mean":
        return safe_divide(edges.weight, rows(degrees, edges.receivers))
    roots = safe_divide(jnp.ones_like(degrees), safe_sqrt(degrees))
    return edges.weight * rows(roots, edges.senders) * rows(roots, edges.receivers)


def segment_softmax(
    logits: jax.Array,
    segments: jax.Array,
    num_segments: int,
    *,
    weight: jax.Array | None = None,
    where: jax.Array | None = None,
) -> jax.Array:
    r"""Softmax within segments.

    .. math:: p_i = w_i e^{z_i} / \sum_{j:\, s_j = s_i} w_j e^{z_j}

    Args:
      logits: ``(E, ...)`` real floating.
      segments: ``(E,)`` whole numbers below ``num_segments``.
      num_segments: how many.
      weight: ``(E,)``, at least 0; ``None``: 1.
      where: ``(E,)``; 0 leaves an entry out, whatever it holds. ``None``: none.

    Returns:
      As ``logits``, 0 for what is left out and in a segment whose weights are all 0.
      The derivative with respect to a weight of 0 is right where its logit does not
      exceed those of its segment that count. Kept for the gradient: the result.

    >>> p = segment_softmax(jnp.zeros(3), jnp.array([0, 0, 1]), 3)
    >>> p.tolist()
    [0.5, 0.5, 1.0]
    """
    column = (-1,) + (1,) * (logits.ndim - 1)
    w = jnp.ones(logits.shape[0], logits.dtype) if weight is None else weight
    here = jnp.ones(w.shape, bool) if where is None else where.astype(bool)
    w, here = w.reshape(column), here.reshape(column)
    z = jnp.where(here, logits, 0)
    candidates = jnp.where(here & (w != 0), z, jnp.asarray(-jnp.inf, z.dtype))
    top = jax.lax.stop_gradient(jax.ops.segment_max(candidates, segments, num_segments))
    shifted = z - jnp.where(jnp.isfinite(top), top, 0)[segments]
    # An entry of weight 0 may be above the maximum: infinity times 0.
    shifted = jnp.where(w == 0, jnp.minimum(shifted, 0), shifted)
    sizes = jnp.where(here, w * jnp.exp(shifted), 0)
    totals = jax.ops.segment_sum(sizes, segments, num_segments)
    return safe_divide(sizes, totals[segments])


def over_graphs(
    layer: str,
    x: Any,
    features: int,
    mask: jax.Array | None,
    one: Callable[[jax.Array, Any, jax.Array], jax.Array],
) -> jax.Array:
    """A function of one graph, over all leading axes of its input.

    Args:
      layer: name of the layer, for messages.
      x: ``(nodes, graph)``: ``(..., N, features)``, and a tuple of arrays with the same
        leading axes and one more.
      features: size of the last axis of the nodes.
      mask: nonzero where a graph ``(...)`` or a node ``(..., N)`` counts; or None.
      one: ``one(nodes, graph, valid) -> (N, units)`` for nodes ``(N, features)`` with 0
        where they do not count; it is called once, with all graphs side by side.

    Returns:
      ``(..., N, units)``, 0 for nodes that do not count.

    Raises:
      InputError: the input is no such pair, a shape does not fit, a known index names
        a node that does not exist, or there is no node.
    """
    pair = isinstance(x, tuple) and len(x) == 2 and hasattr(x[1], "_fields")
    if not pair:
        raise InputError(
            f"{layer} takes a pair (nodes, graph) of an array and a Graph or "
            f"Hypergraph; got {type(x).__name__}"
        )
    nodes, graph = jnp.asarray(x[0]), x[1]
    valid = over_features(layer, nodes, features, mask)
    lead, count = nodes.shape[:-2], nodes.shape[-2]
    if not count:
        raise InputError(f"{layer} takes at least one node; got {nodes.shape}")
    check_graph(graph, lead, count)
    here = np.ones(nodes.shape[:-1], bool) if valid is None else valid[..., 0]
    here = jnp.broadcast_to(jnp.asarray(here), nodes.shape[:-1]).reshape(-1)
    flat = without_padding(nodes, valid).reshape(here.size, features)
    y = one(flat, side_by_side(graph, lead, count), here)
    y = y.reshape(*nodes.shape[:-1], y.shape[-1])
    return without_padding(y, valid)


def side_by_side(graph: Any, lead: tuple[int, ...], count: int) -> Any:
    """Graphs of one size as one graph, whose nodes are those of all in a row.

    Args:
      graph: arrays ``(..., E)``, checked.
      lead: their leading axes.
      count: nodes of each.

    Returns:
      The same with arrays ``(B E,)``; an index that names nothing is -1.
    """
    limits = [count, count]
    if isinstance(graph, Hypergraph):
        limits[1] = graph.weight.shape[-1]
    many = math.prod(lead)
    ends = []
    for indices, limit in zip(graph[:2], limits, strict=True):
        indices = flattened(jnp.asarray(indices), len(lead))
        indices = indices.reshape(many, indices.shape[-1])
        exists = (indices >= 0) & (indices < limit)
        starts = jnp.asarray(np.arange(many)[:, None] * limit, indices.dtype)
        ends.append(jnp.where(exists, indices + starts, -1).reshape(-1))
    rest = [None if a is None else jnp.asarray(a).reshape(-1) for a in graph[2:]]
    return type(graph)(*ends, *rest)


def check_graph(graph: Any, lead: tuple[int, ...], count: int) -> None:
    """Refuse a graph whose arrays do not fit together or to its nodes.

    Args:
      graph: a ``Graph`` or ``Hypergraph``.
      lead: leading axes of the nodes.
      count: number of nodes.

    Raises:
      InputError: sizes do not fit, or a known index names what does not exist.
    """
    first, second = graph._fields[:2]
    ends = {name: getattr(graph, name) for name in (first, second)}
    size = np.shape(ends[first])
    limits = {first: count, second: count}
    wanted = {second: size, "mask": size, "weight": size}
    if second == "edges":
        wanted["weight"] = np.shape(graph.weight)
        limits["edges"] = wanted["weight"][-1] if wanted["weight"] else 0
    if len(size) != len(lead) + 1 or size[:-1] != lead:
        raise InputError(
            f"{first} must have the leading axes {lead} of the nodes and one more; got "
            f"{size}"
        )
    for name, shape in wanted.items():
        value = getattr(graph, name)
        found = np.shape(value)
        fits = found == shape and found[:-1] == lead and len(found) == len(lead) + 1
        if value is not None and not fits:
            raise InputError(
                f"{name} must have the leading axes {lead} of the nodes and those of "
                f"{first}, {size[-1:]}; got {found}"
            )
    if graph.weight is not None and jnp.iscomplexobj(graph.weight):
        raise InputError(f"weight must be real; got {jnp.result_type(graph.weight)}")
    weight = None if graph.weight is None else known_values(graph.weight)
    if weight is not None and np.any(weight < 0):
        raise InputError(f"weight must be at least 0; got {weight.min()}")
    counts = None if graph.mask is None else known_values(graph.mask)
    for name, indices in ends.items():
        if not jnp.issubdtype(jnp.result_type(indices), jnp.integer):
            kind = jnp.result_type(indices)
            raise InputError(f"{name} must be whole numbers; got {kind}")
        known = known_values(indices)
        if known is None or (graph.mask is not None and counts is None):
            continue
        here = known if counts is None else known[counts != 0]
        check_indices(
            name, here, limits[name], "hyperedges" if name == "edges" else "nodes"
        )


def dense_adjacency(nodes: jax.Array, graph: Any) -> jax.Array:
    """The weights of the edges as a matrix, which small examples alone can afford.

    Args:
      nodes: ``(B, N, features)``.
      graph: with weights and leading axes ``(B,)``, without padding.

    Returns:
      ``(B, N, N)``, receivers by senders.
    """
    ends = (graph.receivers, graph.senders)
    to, fro = (jax.nn.one_hot(e, nodes.shape[1], dtype=nodes.dtype) for e in ends)
    return jnp.einsum("bei,bej,be->bij", to, fro, graph.weight)
