"""Graph attention: every node weighs its neighbours."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional, stateless_layer
from jaxopt_lab.core.options import COUNT, NON_NEGATIVE, STATIC, check_arguments
from jaxopt_lab.core.shapes import flattened
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Params
from jaxopt_lab.layers.graph.graphs import Graph
from jaxopt_lab.layers.graph.segments import (
    dense_adjacency,
    edges_of,
    over_graphs,
    propagate,
    rows,
    segment_softmax,
)
from jaxopt_lab.layers.norm.last_axis import along

GLOROT = jax.nn.initializers.glorot_uniform()


def gat_conv(
    features: Annotated[int, COUNT],
    *,
    units: Annotated[int | None, COUNT] = None,
    heads: Annotated[int, COUNT] = 1,
    concatenate: bool = True,
    slope: Annotated[float, NON_NEGATIVE, STATIC] = 0.2,
    self_loops: bool = True,
    kernel_init: Callable[..., jax.Array] = GLOROT,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Attention of each node to the nodes that send to it.

    .. math:: y_i = \sum_j p_{ij} W x_j + b, \qquad p_{ij} \propto A_{ij}
        \exp \text{leaky}(a \cdot W x_i + c \cdot W x_j)

    for each head; p sums to 1 over the senders j of i.

    Args:
      features: size of the last axis of the nodes.
      units: output features; ``None``: ``features``.
      heads: attentions side by side.
      concatenate: the outputs of the heads one behind the other, ``units / heads`` of
        each; or the mean of ``heads`` outputs of ``units``.
      slope: of the leaky ReLU for negative numbers.
      self_loops: every node sends to itself with weight 1; without, one that nobody
        sends to gets the bias.
      kernel_init: initializer of W, a and c.
      param_dtype: type of the parameters.

    Returns:
      ``init(key) -> (params, {})`` and ``apply(params, state, x, *, train, key=None,
      axis_name=None, mask=None) -> (y, state)`` for ``x = (nodes, graph)``, ``(..., N,
      features)`` and edges ``(..., E)``. The weight of an edge counts as so many equal
      edges. ``mask``, ``(...)`` or ``(..., N)``, is 0 for padding, which sends nothing
      and gives 0. Training and evaluation are the same: drop attention outside, by
      ``graph.mask``.

    Raises:
      InputError: an argument is out of range, or ``heads`` does not divide ``units``;
        at the call, the input does not fit.

    O(E units) beside the product. Softmax and sums are float32 for narrower types. Kept
    for the gradient: the nodes, and a message for each edge.

    Source: Velickovic et al., "Graph Attention Networks", 2018
    (https://arxiv.org/abs/1710.10903).

    >>> layer = gat_conv(2, heads=2)
    >>> start = jax.jit(layer.init)(jax.random.key(0))
    >>> x = (jnp.ones((2, 2)), Graph(jnp.array([0, 1]), jnp.array([1, 0])))
    >>> jax.jit(lambda x: layer.apply(*start, x, train=True)[0])(x).shape
    (2, 2)
    """
    given = {n: v for n, v in locals().items() if n != "kernel_init"}
    check_arguments(gat_conv, given)
    out = features if units is None else units
    if concatenate and out % heads:
        raise InputError(f"heads must divide units={out}; got {heads}")
    size = out // heads if concatenate else out

    def init(key: jax.Array) -> tuple[dict[str, jax.Array], Any]:
        keys = [jax.random.fold_in(key, i) for i in range(3)]
        return {
            "kernel": kernel_init(keys[0], (features, heads * size), param_dtype),
            "receiver": kernel_init(keys[1], (heads, size), param_dtype),
            "sender": kernel_init(keys[2], (heads, size), param_dtype),
            "bias": jnp.zeros(out, param_dtype),
        }, {}

    def apply(params: Params, x: Any, mask: jax.Array | None) -> jax.Array:
        def one(nodes: jax.Array, graph: Graph, valid: jax.Array) -> jax.Array:
            wide, count = accumulation_dtype(nodes.dtype), len(nodes)
            h = (nodes @ params["kernel"].astype(nodes.dtype)).astype(wide)
            h = h.reshape(count, heads, size)
            parts = [
                jnp.einsum("nhu,hu->nh", h, params[name].astype(wide))
                for name in ("receiver", "sender")
            ]
            edges = edges_of(graph, valid, wide, loops=self_loops)
            logits = rows(parts[0], edges.receivers) + rows(parts[1], edges.senders)
            logits = jnp.where(logits >= 0, logits, jnp.asarray(slope, wide) * logits)
            p = segment_softmax(
                logits, edges.receivers, count, weight=edges.weight, where=edges.counts
            )
            # An edge that names no node is NaN, and counts nowhere.
            p = p + jnp.where(jnp.isnan(edges.weight), edges.weight, 0)[:, None]
            y = propagate(h, p, edges, count)
            y = flattened(y) if concatenate else jnp.mean(y, axis=1)
            return (y + along(params["bias"], y)).astype(nodes.dtype)

        return over_graphs("gat_conv", x, features, mask, one)

    return stateless_layer(init, apply)


def static_attention(params: dict[str, jax.Array], x: Any) -> jax.Array:
    """One head with slope 1, dense: weights of the senders that no receiver changes.

    Args:
      params: of ``gat_conv``.
      x: ``(nodes, graph)`` with weights and leading axes ``(B,)``, without padding.

    Returns:
      ``(B, N, units)``.
    """
    nodes, graph = x
    matrix = dense_adjacency(nodes, graph)
    matrix = matrix + jnp.eye(nodes.shape[1], dtype=nodes.dtype)[None]
    h = nodes @ params["kernel"]
    p = matrix * jnp.exp(h @ params["sender"][0])[:, None]
    p = p / jnp.sum(p, axis=-1, keepdims=True)
    return p @ h + along(params["bias"], h)
