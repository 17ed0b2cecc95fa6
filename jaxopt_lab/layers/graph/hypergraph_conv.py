"""Hypergraph convolution: from nodes to hyperedges and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.functional import Functional, stateless_layer
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype, safe_divide, safe_sqrt
from jaxopt_lab.core.typing import Params
from jaxopt_lab.layers.graph.graphs import Hypergraph
from jaxopt_lab.layers.graph.segments import over_graphs, rows
from jaxopt_lab.layers.norm.last_axis import along

GLOROT = jax.nn.initializers.glorot_uniform()


def hypergraph_propagate(
    nodes: jax.Array,
    hypergraph: Hypergraph,
    *,
    normalize: bool = True,
    mask: jax.Array | None = None,
) -> jax.Array:
    r"""The product of a hypergraph's operator with the rows of the nodes.

    .. math:: D_v^{-1/2} H W D_e^{-1} H^\top D_v^{-1/2} X

    with the incidence H, the weights W of the hyperedges, the number of nodes of each
    in :math:`D_e` and the sum of the weights of each node's hyperedges in :math:`D_v`.
    The operator is symmetric, positive semi-definite and of norm 1.

    Args:
      nodes: ``(..., N, features)``.
      hypergraph: its pairs, ``(..., P)``; a pair that is there twice counts twice.
      normalize: as above; else :math:`H W H^\top X`.
      mask: nonzero where a hypergraph or a node counts; pairs of others do not.

    Returns:
      As ``nodes``, in O(P features), summed in float32 for narrower types; 0 for a node
      without hyperedges.

    Raises:
      InputError: shapes do not fit, or a known pair names what does not exist. A traced
        one gives NaN.

    >>> pairs = Hypergraph(jnp.array([0, 1]), jnp.array([0, 0]), jnp.ones(1))
    >>> run = jax.jit(lambda x: hypergraph_propagate(x, pairs))
    >>> run(jnp.array([[1.0], [3.0]])).ravel().tolist()
    [2.0, 2.0]
    """
    features = jnp.shape(nodes)[-1]

    def one(nodes: jax.Array, graph: Hypergraph, valid: jax.Array) -> jax.Array:
        wide = nodes.astype(accumulation_dtype(nodes.dtype))
        return _product(wide, graph, valid, normalize).astype(nodes.dtype)

    pair = (nodes, hypergraph)
    return over_graphs("hypergraph_propagate", pair, features, mask, one)


def _product(
    x: jax.Array, graph: Hypergraph, valid: jax.Array, normalize: bool
) -> jax.Array:
    """The operator of one hypergraph, in the type of ``x``."""
    count, many = x.shape[0], graph.weight.shape[0]
    exists = (graph.nodes >= 0) & (graph.nodes < count)
    exists &= (graph.edges >= 0) & (graph.edges < many)
    nodes = jnp.where(exists, graph.nodes, 0)
    edges = jnp.where(exists, graph.edges, 0)
    mask = None if graph.mask is None else graph.mask.astype(bool)
    counts = exists if mask is None else exists & mask
    wrong = ~exists if mask is None else ~exists & mask
    counts &= rows(valid, nodes)
    ones = jnp.where(wrong, jnp.asarray(jnp.nan, x.dtype), counts.astype(x.dtype))
    sizes = jax.ops.segment_sum(ones, edges, many)
    # A hyperedge of padding alone may weigh anything.
    weight = jnp.where(sizes == 0, 0, graph.weight.astype(x.dtype))
    roots = jnp.ones(count, x.dtype)
    if normalize:
        degrees = jax.ops.segment_sum(ones * rows(weight, edges), nodes, count)
        roots = safe_divide(jnp.ones_like(degrees), safe_sqrt(degrees))
        weight = safe_divide(weight, sizes)
        x = x * roots[:, None]
    sent = jnp.where(counts[:, None], rows(x, nodes), 0) * ones[:, None]
    joined = jax.ops.segment_sum(sent, edges, many) * weight[:, None]
    y = jax.ops.segment_sum(rows(joined, edges) * ones[:, None], nodes, count)
    return y * roots[:, None] if normalize else y


def hypergraph_conv(
    features: Annotated[int, COUNT],
    *,
    units: Annotated[int | None, COUNT] = None,
    normalize: bool = True,
    kernel_init: Callable[..., jax.Array] = GLOROT,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Hypergraph convolution (HGNN): ``hypergraph_propagate`` behind a dense layer.

    .. math:: D_v^{-1/2} H W D_e^{-1} H^\top D_v^{-1/2} (X \Theta + b)

    Args:
      features: size of the last axis of the nodes.
      units: output features; ``None``: ``features``.
      normalize: of ``hypergraph_propagate``.
      kernel_init: initializer of :math:`\Theta`.
      param_dtype: type of the parameters.

    Returns:
      ``init(key) -> (params, {})`` and ``apply(params, state, x, *, train, key=None,
      axis_name=None, mask=None) -> (y, state)`` for ``x = (nodes, hypergraph)``,
      ``(..., N, features)`` and pairs ``(..., P)``. ``mask``, ``(...)`` or
      ``(..., N)``, is 0 for padding, which belongs to no hyperedge and gives 0.
      Training and evaluation are the same.

    Raises:
      InputError: an argument is out of range; at the call, the input does not fit.

    O(P units) beside the product. The bias is sent along, as in the code. Kept for the
    gradient: the nodes, and a message for each pair.

    Source: Feng et al., "Hypergraph Neural Networks", 2019
    (https://arxiv.org/abs/1809.09401), and its code; the teacher of LightHGNN.

    >>> layer = hypergraph_conv(1, kernel_init=jax.nn.initializers.ones)
    >>> start = jax.jit(layer.init)(jax.random.key(0))
    >>> pairs = Hypergraph(jnp.array([0, 1]), jnp.array([0, 0]), jnp.ones(1))
    >>> x = (jnp.array([[1.0], [3.0]]), pairs)
    >>> jax.jit(lambda x: layer.apply(*start, x, train=True)[0])(x).ravel().tolist()
    [2.0, 2.0]
    """
    given = {n: v for n, v in locals().items() if n != "kernel_init"}
    check_arguments(hypergraph_conv, given)
    out = features if units is None else units

    def init(key: jax.Array) -> tuple[dict[str, jax.Array], Any]:
        kernel = kernel_init(key, (features, out), param_dtype)
        return {"kernel": kernel, "bias": jnp.zeros(out, param_dtype)}, {}

    def apply(params: Params, x: Any, mask: jax.Array | None) -> jax.Array:
        def one(nodes: jax.Array, graph: Hypergraph, valid: jax.Array) -> jax.Array:
            h = nodes @ params["kernel"].astype(nodes.dtype)
            h = (h + along(params["bias"], h)).astype(accumulation_dtype(h.dtype))
            return _product(h, graph, valid, normalize).astype(nodes.dtype)

        return over_graphs("hypergraph_conv", x, features, mask, one)

    return stateless_layer(init, apply)


def plain_hypergraph(params: dict[str, jax.Array], x: Any) -> jax.Array:
    """The layer without degrees, by a dense incidence matrix.

    Args:
      params: of ``hypergraph_conv``.
      x: ``(nodes, hypergraph)`` with leading axes ``(B,)``, without padding.

    Returns:
      ``(B, N, units)``.
    """
    nodes, graph = x
    sizes = nodes.shape[1], graph.weight.shape[1]
    own, of = (
        jax.nn.one_hot(pair, size, dtype=nodes.dtype)
        for pair, size in zip((graph.nodes, graph.edges), sizes, strict=True)
    )
    incidence = jnp.einsum("bpn,bpm->bnm", own, of)
    h = nodes @ params["kernel"] + along(params["bias"], nodes)
    joined = jnp.einsum("bnm,bnu->bmu", incidence, h) * graph.weight[..., None]
    return incidence @ joined
