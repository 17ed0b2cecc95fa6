"""LoGAH: the parameters of a network from its graph, kernels of low rank."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Call, Functional, stateful_layer
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.core.typing import ModelState, Params
from jaxopt_lab.layers.hypernetwork.graph_encoder import graph_encoder
from jaxopt_lab.layers.hypernetwork.low_rank_decoder import (
    KAIMING,
    Layout,
    factors,
    kernel_of,
    low_rank_decoder,
)
from jaxopt_lab.layers.hypernetwork.target_graph import TargetGraph
from jaxopt_lab.layers.norm.last_axis import along


def logah(
    *,
    hidden: Annotated[int, COUNT] = 32,
    rank: Annotated[int, COUNT] = 8,
    max_width: Annotated[int, COUNT] = 64,
    layers: Annotated[int, COUNT] = 3,
    heads: Annotated[int, COUNT] = 8,
    layout: Layout = "transpose",
    kernel_init: Callable[..., jax.Array] = KAIMING,
    param_dtype: DTypeLike = jnp.float32,
) -> Functional:
    r"""Hypernetwork that predicts the parameters of any network from its graph.

    Kernels come from ``low_rank_decoder``, with :math:`\beta` of 2, or 1 for
    convolutions of one input a group and of unequal sides; tables that are looked up,
    without the factor. Vectors come from a perceptron of 2 h and h units, tiled to
    their length: p as :math:`2 \sigma(p / 2)` where the operation is a product
    elementwise, as :math:`\tanh(p / 5)` where it is a sum, else as it is.

    Args:
      hidden: h, a multiple of 4 and of ``heads``.
      rank: of the kernels.
      max_width: largest number of outputs (times the height) or inputs (times the
        width) of a kernel.
      layers: blocks of ``graph_encoder``.
      heads: of their attention.
      layout: of ``low_rank_decoder``.
      kernel_init: initializer of all kernels.
      param_dtype: type of the parameters.

    Returns:
      ``init(key) -> (params, {})``, dicts ``encoder``, ``decoder`` and ``vector``; and
      ``apply(params, state, graph, *, train, key=None, axis_name=None, mask=None) ->
      (tree, state)`` for a ``TargetGraph``: parameters of the network. A parameter that
      is used twice is predicted once. One program a graph: draw networks from a few.

    Raises:
      InputError: an argument is out of range; at the call, a kernel is wider than
        ``max_width``, or an array has three axes or more than four.

    ``2 rank max_width`` numbers for each kernel, beside the predicted ones.

    Source: Zhou, Knyazev, Jolicoeur-Martineau and Fu, "LoGAH: Predicting
    774-Million-Parameter Transformers using Graph HyperNetworks with 1/100 Parameters",
    2024 (https://arxiv.org/abs/2405.16287). Code read: Blackzxy/LoGAH.

    >>> from jaxopt_lab.layers import parameter_graph
    >>> w = {"w": jax.ShapeDtypeStruct((3, 4), "float32")}
    >>> x = jax.ShapeDtypeStruct((1, 3), "float32")
    >>> graph = parameter_graph(lambda p, x: x @ p["w"], w, x)
    >>> net = logah(hidden=8, heads=2, layers=1)
    >>> call = lambda key: net.apply(*net.init(key), graph, train=True)[0]
    >>> jax.eval_shape(call, jax.random.key(0))["w"].shape
    (3, 4)
    """
    given = {n: v for n, v in locals().items() if n != "kernel_init"}
    check_arguments(logah, given)
    made: Any = {"kernel_init": kernel_init, "param_dtype": param_dtype}
    encoder = graph_encoder(hidden=hidden, layers=layers, heads=heads, **made)
    sizes: Any = {"rank": rank, "max_width": max_width}
    decoder = low_rank_decoder(hidden, shape=(1, 1), **sizes, layout=layout, **made)

    def init(key: jax.Array) -> tuple[dict[str, Any], Any]:
        keys = [jax.random.fold_in(key, i) for i in range(4)]
        vector = {}
        for i, shape in enumerate(((hidden, 2 * hidden), (2 * hidden, hidden))):
            vector[f"kernel_{i}"] = kernel_init(keys[2 + i], shape, param_dtype)
            vector[f"bias_{i}"] = jnp.zeros(shape[1], param_dtype)
        return {
            "encoder": encoder.init(keys[0])[0],
            "decoder": decoder.init(keys[1])[0],
            "vector": vector,
        }, {}

    def apply(
        params: Params, state: ModelState, x: TargetGraph, call: Call
    ) -> tuple[Any, ModelState]:
        shapes, operations = x.shapes[1:-1], x.operations[1:-1]
        for name, shape in zip(x.names[1:-1], shapes, strict=True):
            _check(name, shape, max_width)
        states = encoder.apply(params["encoder"], {}, x, train=call.train)[0][1:-1]
        left, right = factors(params["decoder"], states, rank, layout)
        vectors = _vectors(params["vector"], states)
        leaves = []
        for i, (shape, kind) in enumerate(zip(shapes, operations, strict=True)):
            if len(shape) > 1:
                factor = kernel_factor(shape, kind)
                leaves.append(factor * kernel_of(left[i], right[i], shape))
            else:
                leaves.append(vector_of(vectors[i], shape, kind))
        return jax.tree.unflatten(x.tree, leaves), state

    return stateful_layer(init, apply)


def kernel_factor(shape: tuple[int, ...], operation: str) -> float:
    r"""The factor of a product of factors, for its place in the network.

    Args:
      shape: of the kernel.
      operation: of ``TargetGraph``.

    Returns:
      :math:`\sqrt{\beta / n}` for n inputs; 1 where rows are looked up.

    >>> kernel_factor((8, 3), "product"), kernel_factor((8, 3), "lookup")
    (0.5, 1.0)
    """
    if operation == "lookup":
        return 1.0
    sides = shape[:-2]
    plain = not sides or (sides[0] == sides[1] and shape[-2] > 1)
    return math.sqrt((2 if plain else 1) / math.prod(shape[:-1]))


def vector_of(p: jax.Array, shape: tuple[int, ...], operation: str) -> jax.Array:
    """A vector or number from the outputs of a node.

    Args:
      p: ``(h,)``, tiled to the length.
      shape: of the parameter, one axis or none.
      operation: of ``TargetGraph``.

    Returns:
      The parameter: in (0, 2) where it scales, in (-1, 1) where it shifts.

    >>> vector_of(jnp.zeros(2), (3,), "scale").tolist()
    [1.0, 1.0, 1.0]
    """
    length = math.prod(shape)
    p = jnp.tile(p, -(-length // p.shape[0]))[:length].reshape(shape)
    if operation == "scale":
        return 2 * jax.nn.sigmoid(p / 2)
    return jnp.tanh(0.2 * p) if operation == "shift" else p


def _vectors(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    for i in range(2):
        x = x @ params[f"kernel_{i}"].astype(x.dtype) + along(params[f"bias_{i}"], x)
        x = jax.nn.relu(x) if i == 0 else x
    return x


def _check(name: str, shape: tuple[int, ...], most: int) -> None:
    if len(shape) == 3 or len(shape) > 4:
        raise InputError(
            f"logah predicts numbers, vectors, matrices and convolutions of two axes; "
            f"got {name} of shape {shape}"
        )
    if len(shape) > 1:
        height, width = (1, 1, *shape)[-4:-2]
        widest = max(shape[-1] * height, shape[-2] * width)
        if widest > most:
            raise InputError(
                f"max_width must be at least {widest}, for {name} {shape}; got {most}"
            )
