"""Graph convolution: every node takes the mean of its neighbours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.functional import Functional, stateless_layer
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Params
from jaxopt_lab.layers.graph.graphs import Graph
from jaxopt_lab.layers.graph.segments import (
    dense_adjacency,
    edges_of,
    normalized_weights,
    over_graphs,
    propagate,
)
from jaxopt_lab.layers.norm.last_axis import along

GLOROT = jax.nn.initializers.glorot_uniform()
Normalization = Literal["symmetric", "mean", "none"]


def gcn_propagate(
    nodes: jax.Array,
    graph: Graph,
    *,
    normalization: Normalization = "symmetric",
    self_loops: bool = True,
    mask: jax.Array | None = None,
) -> jax.Array:
    r"""The product of a normalized adjacency matrix with the rows of the nodes.

    .. math:: D^{-1/2} (A + I) D^{-1/2} X, \qquad d_i = 1 + \sum_j A_{ij}

    with :math:`A_{ij}` the weight of the edge from j to i.

    Args:
      nodes: ``(..., N, features)``.
      graph: its edges, ``(..., E)``.
      normalization: ``"symmetric"`` as above, ``"mean"``: :math:`D^{-1} (A + I)`,
        ``"none"``: :math:`A + I`.
      self_loops: add I; without it a node of degree 0 gets 0.
      mask: nonzero where a graph or a node counts; edges from and to others do not.

    Returns:
      As ``nodes``, in O(E features), summed in float32 for narrower types.

    Raises:
      InputError: shapes do not fit, or a known edge names a node that does not exist.
        A traced one gives NaN.

    >>> graph = Graph(jnp.array([0, 1]), jnp.array([1, 0]))
    >>> run = jax.jit(lambda x: gcn_propagate(x, graph, normalization="mean"))
    >>> run(jnp.array([[1.0], [3.0]])).ravel().tolist()
    [2.0, 2.0]
    """
    given = {"normalization": normalization, "self_loops": self_loops}
    check_arguments(gcn_propagate, given)

    def one(nodes: jax.Array, graph: Graph, valid: jax.Array) -> jax.Array:
        wide = nodes.astype(accumulation_dtype(nodes.dtype))
        edges = edges_of(graph, valid, wide.dtype, loops=self_loops)
        factors = normalized_weights(edges, len(nodes), normalization)
        return propagate(wide, factors, edges, len(nodes)).astype(nodes.dtype)

    features = jnp.shape(nodes)[-1]
    return over_graphs("gcn_propagate", (nodes, graph), features, mask, one)


def gcn_conv(
    features: Annotated[int, COUNT],
    *,
    units: Annotated[int | None, COUNT] = None,
    normalization: Normalization = "symmetric",
    self_loops: bool = True,
    kernel_init: Callable[..., jax.Array] = GLOROT,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Graph convolution: a dense layer behind ``gcn_propagate``.

    .. math:: D^{-1/2} (A + I) D^{-1/2} X W + b

    Args:
      features: size of the last axis of the nodes.
      units: output features; ``None``: ``features``.
      normalization: of ``gcn_propagate``.
      self_loops: of ``gcn_propagate``.
      kernel_init: initializer of W.
      param_dtype: type of the parameters.

    Returns:
      ``init(key) -> (params, {})`` and ``apply(params, state, x, *, train, key=None,
      axis_name=None, mask=None) -> (y, state)`` for ``x = (nodes, graph)``, ``(..., N,
      features)`` and edges ``(..., E)``. ``mask``, ``(...)`` or ``(..., N)``, is 0 for
      padding, which sends nothing and gives 0. Training and evaluation are the same.

    Raises:
      InputError: an argument is out of range; at the call, the input does not fit.

    O(E units) beside the product, which comes first. Kept for the gradient: the nodes,
    and a message for each edge.

    Source: Kipf and Welling, "Semi-Supervised Classification with Graph Convolutional
    Networks", 2017 (https://arxiv.org/abs/1609.02907).

    >>> layer = gcn_conv(1, kernel_init=jax.nn.initializers.ones)
    >>> start = jax.jit(layer.init)(jax.random.key(0))
    >>> x = (jnp.array([[1.0], [3.0]]), Graph(jnp.array([0, 1]), jnp.array([1, 0])))
    >>> jax.jit(lambda x: layer.apply(*start, x, train=True)[0])(x).shape
    (2, 1)
    """
    given = {n: v for n, v in locals().items() if n != "kernel_init"}
    check_arguments(gcn_conv, given)
    out = features if units is None else units

    def init(key: jax.Array) -> tuple[dict[str, jax.Array], Any]:
        kernel = kernel_init(key, (features, out), param_dtype)
        return {"kernel": kernel, "bias": jnp.zeros(out, param_dtype)}, {}

    def apply(params: Params, x: Any, mask: jax.Array | None) -> jax.Array:
        def one(nodes: jax.Array, graph: Graph, valid: jax.Array) -> jax.Array:
            wide = accumulation_dtype(nodes.dtype)
            h = (nodes @ params["kernel"].astype(nodes.dtype)).astype(wide)
            edges = edges_of(graph, valid, wide, loops=self_loops)
            factors = normalized_weights(edges, len(nodes), normalization)
            y = propagate(h, factors, edges, len(nodes))
            return (y + along(params["bias"], y)).astype(nodes.dtype)

        return over_graphs("gcn_conv", x, features, mask, one)

    return stateless_layer(init, apply)


def plain_gcn(params: dict[str, jax.Array], x: Any) -> jax.Array:
    """The layer without normalization and loops, by a dense matrix of weights.

    Args:
      params: of ``gcn_conv``.
      x: ``(nodes, graph)`` with weights and leading axes ``(B,)``, without padding.

    Returns:
      ``(B, N, units)``.
    """
    nodes, graph = x
    matrix = dense_adjacency(nodes, graph)
    y = matrix @ nodes @ params["kernel"]
    return y + along(params["bias"], y)
