"""Auto-GNN: a graph layer whose functions are data, so that one program has all."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.layers.graph.graphs import Graph
from jaxopt_lab.layers.graph.segments import (
    Edges,
    edges_of,
    normalized_weights,
    over_graphs,
    propagate,
    rows,
    segment_softmax,
)
from jaxopt_lab.layers.norm.last_axis import along

GLOROT = jax.nn.initializers.glorot_uniform()
ATTENTIONS = ("const", "gcn", "gat", "sym_gat", "cos", "linear", "gene_linear")
AGGREGATES = ("sum", "mean", "max")
ACTIVATIONS = (
    "sigmoid",
    "tanh",
    "relu",
    "identity",
    "softplus",
    "leaky_relu",
    "relu6",
    "elu",
)
_ACTIVATION: tuple[Callable[[jax.Array], jax.Array], ...] = (
    jax.nn.sigmoid,
    jnp.tanh,
    jax.nn.relu,
    lambda x: x,
    jax.nn.softplus,
    jax.nn.leaky_relu,
    jax.nn.relu6,
    jax.nn.elu,
)


class GraphCell(NamedTuple):
    """The functions of one searchable layer, as whole numbers.

    Attributes:
      attention: place in ``ATTENTIONS``.
      aggregate: place in ``AGGREGATES``.
      activation: place in ``ACTIVATIONS``.
      width: number of output features that are not 0.
    """

    attention: Any
    aggregate: Any
    activation: Any
    width: Any


def graph_cell(
    attention: str, aggregate: str, activation: str, width: int
) -> GraphCell:
    """The cell of some names.

    Args:
      attention: one of ``ATTENTIONS``.
      aggregate: one of ``AGGREGATES``.
      activation: one of ``ACTIVATIONS``.
      width: output features, at least 1.

    Returns:
      The cell.

    Raises:
      InputError: a name is unknown, or the width below 1.

    >>> graph_cell("gat", "mean", "relu", 8)
    GraphCell(attention=2, aggregate=1, activation=2, width=8)
    """
    lists = (ATTENTIONS, AGGREGATES, ACTIVATIONS)
    given = (attention, aggregate, activation)
    places = []
    for name, value, choices in zip(GraphCell._fields, given, lists, strict=False):
        if value not in choices:
            raise InputError(f"{name} must be one of {', '.join(choices)}; got {value}")
        places.append(choices.index(value))
    if width < 1:
        raise InputError(f"width must be at least 1; got {width}")
    one, two, three = places
    return GraphCell(one, two, three, width)


def searchable_conv(
    features: Annotated[int, COUNT],
    *,
    units: Annotated[int, COUNT] = 16,
    kernel_init: Callable[..., jax.Array] = GLOROT,
    param_dtype: DTypeLike = jnp.float32,
) -> tuple[Callable[..., Any], Callable[..., jax.Array]]:
    r"""A graph layer of any attention, aggregate, activation and width.

    .. math:: y_i = \phi(\text{aggregate}_j\, \alpha_{ij} W x_j + b)

    over the senders j of i and i itself, with :math:`h = W x, g = V x`

    * const: 1; gcn: :math:`1 / \sqrt{d_i d_j}`;
    * gat: leaky :math:`(a h_i + c h_j)`; sym_gat: that of both directions;
    * cos: :math:`h_i \cdot g_j`; linear: :math:`\tanh(\sum a h_i + \sum c h_j)`;
    * gene_linear: :math:`w \cdot \tanh(h_i + g_j)`,

    all but the first two through a softmax over the senders.

    Args:
      features: size of the last axis of the nodes.
      units: the largest width.
      kernel_init: initializer of W, V and the vectors.
      param_dtype: type of the parameters.

    Returns:
      ``init(key) -> params`` and ``apply(params, cell, x, *, mask=None) -> y`` for
      ``x = (nodes, graph)`` as of ``gcn_conv``; ``cell``, a ``GraphCell``, may be
      traced. All attentions are computed for the one that is chosen under ``vmap``, one
      of them otherwise. Features behind the width are 0, and their parameters have no
      gradient.

    Raises:
      InputError: an argument is out of range; at the call, the input does not fit.

    Source: Zhou et al., "Auto-GNN: Neural Architecture Search of Graph Neural
    Networks", 2019 (https://arxiv.org/abs/1909.03184), from memory; heads and
    aggregates by a perceptron are left out.

    >>> init, apply = searchable_conv(1, units=2)
    >>> params = jax.jit(init)(jax.random.key(0))
    >>> x = (jnp.ones((2, 1)), Graph(jnp.array([0, 1]), jnp.array([1, 0])))
    >>> run = jax.jit(lambda cell: apply(params, cell, x))
    >>> run(graph_cell("gat", "sum", "tanh", 1))[:, 1].tolist()
    [0.0, 0.0]
    """
    given = {"features": features, "units": units, "param_dtype": param_dtype}
    check_arguments(searchable_conv, given)

    def init(key: jax.Array) -> dict[str, jax.Array]:
        keys = [jax.random.fold_in(key, i) for i in range(5)]
        params = {
            name: kernel_init(keys[i], (features, units), param_dtype)
            for i, name in enumerate(("kernel", "second"))
        }
        for i, name in enumerate(("receiver", "sender", "out")):
            params[name] = kernel_init(keys[2 + i], (units, 1), param_dtype)[:, 0]
        return {**params, "bias": jnp.zeros(units, param_dtype)}

    def apply(
        params: dict[str, jax.Array],
        cell: GraphCell,
        x: Any,
        *,
        mask: jax.Array | None = None,
    ) -> jax.Array:
        def one(nodes: jax.Array, graph: Graph, valid: jax.Array) -> jax.Array:
            wide, count = accumulation_dtype(nodes.dtype), len(nodes)
            open_ = (jnp.arange(units) < cell.width).astype(wide)[None]
            p = {name: value.astype(wide) for name, value in params.items()}
            h, g = (nodes.astype(wide) @ p[n] * open_ for n in ("kernel", "second"))
            edges = edges_of(graph, valid, wide, loops=True)
            branches = _attentions(p, h, g, edges, count)
            factors = jax.lax.switch(cell.attention, branches)
            sent = propagate(h, factors, edges, count)
            sizes = jax.ops.segment_sum(edges.weight, edges.receivers, count)
            safe = jnp.where(sizes == 0, 1, sizes)[:, None]

            def largest() -> jax.Array:
                messages = rows(h, edges.senders) * factors[:, None]
                low = jnp.asarray(-jnp.inf, wide)
                here = (edges.counts & (edges.weight != 0))[:, None]
                top = jax.ops.segment_max(
                    jnp.where(here, messages, low), edges.receivers, count
                )
                return jnp.where(jnp.isneginf(top), 0, top)

            y = jax.lax.switch(
                cell.aggregate, (lambda: sent, lambda: sent / safe, largest)
            )
            y = jax.lax.switch(cell.activation, _ACTIVATION, y + along(p["bias"], y))
            return (y * open_).astype(nodes.dtype)

        return over_graphs("searchable_conv", x, features, mask, one)

    return init, apply


def _attentions(
    p: dict[str, jax.Array], h: jax.Array, g: jax.Array, edges: Edges, count: int
) -> tuple[Callable[[], jax.Array], ...]:
    to, fro = edges.receivers, edges.senders
    leaky = lambda z: jnp.where(z >= 0, z, jnp.asarray(0.2, z.dtype) * z)
    own, other = h @ p["receiver"], h @ p["sender"]

    def over_senders(logits: Callable[[], jax.Array]) -> Callable[[], jax.Array]:
        def run() -> jax.Array:
            return segment_softmax(
                logits(), to, count, weight=edges.weight, where=edges.counts
            )

        return run

    gat = lambda: leaky(rows(own, to) + rows(other, fro))
    back = lambda: leaky(rows(own, fro) + rows(other, to))
    gene = lambda: jnp.tanh(rows(h, to) + rows(g, fro)) @ p["out"]
    return (
        lambda: edges.weight,
        lambda: normalized_weights(edges, count, "symmetric"),
        over_senders(gat),
        over_senders(lambda: gat() + back()),
        over_senders(lambda: jnp.sum(rows(h, to) * rows(g, fro), axis=1)),
        over_senders(lambda: jnp.tanh(rows(own, to) + rows(other, fro))),
        over_senders(gene),
    )
