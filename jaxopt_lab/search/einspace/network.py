"""The network of an architecture of einspace, as two pure functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.search.einspace.nodes import (
    Node,
    Shape,
    branches_of,
    computed_shape,
    infer_shape,
    routed_shape,
    split_shape,
    windows,
)

EPS = 1e-5
MOMENTUM = 0.9
SLOPE = 0.01
KAIMING = jax.nn.initializers.he_normal()


class Mode(NamedTuple):
    """The mode of a call.

    Attributes:
      train: take the statistics of the batch.
      axis_name: axis of devices over which the batch is divided; ``None``: none.
    """

    train: bool
    axis_name: str | None = None


def module_function(node: Node, shape: Shape) -> Functional:
    """A module as a function of arrays.

    Args:
      node: the module.
      shape: of one example in front of it.

    Returns:
      ``init(key) -> (params, state)``, by places in the tree such as ``"0.1"``, and
      ``apply(params, state, x, *, train, axis_name=None) -> (y, state)`` for ``x`` of
      ``(B, *shape)``. Normalization of images has the statistics of the batch, over
      ``axis_name`` too, and keeps running ones, of which evaluation makes use; that of
      columns is over the features.

    Raises:
      InputError: a function inside does not take its shape.

    >>> double = Node("branching", ("clone", 2, "add"), (Node("computation",
    ...     ("identity", 0)),) * 2)
    >>> f = module_function(double, (2, 1))
    >>> f.apply(*f.init(jax.random.key(0)), jnp.ones((1, 2, 1)), train=True)[0].tolist()
    [[[2.0], [2.0]]]
    """
    infer_shape(node, shape)
    leaves: dict[str, tuple[tuple[Any, ...], Shape]] = {}
    run = _compiled(node, shape, "", leaves)

    def init(key: jax.Array) -> tuple[dict[str, Any], dict[str, Any]]:
        params, state = {}, {}
        for i, (name, (options, inner)) in enumerate(leaves.items()):
            own = _first(jax.random.fold_in(key, i), options, inner)
            if own:
                params[name] = own
            if options[0] == "norm" and len(inner) == 3:
                zeros = jnp.zeros(inner[-1])
                state[name] = {"mean": zeros, "variance": zeros + 1}
        return params, state

    def apply(
        params: dict[str, Any],
        state: dict[str, Any],
        x: jax.Array,
        *,
        train: bool,
        key: jax.Array | None = None,
        axis_name: str | None = None,
    ) -> tuple[jax.Array, dict[str, Any]]:
        new = dict(state)
        return run(params, new, x, Mode(train, axis_name)), new

    return Functional(init, apply)


def einspace_network(
    node: Node, shape: Shape, classes: Annotated[int, COUNT]
) -> Functional:
    """A classifier: the architecture, the mean over all positions, and a linear layer.

    Args:
      node: the architecture.
      shape: of one example.
      classes: number of outputs.

    Returns:
      As ``module_function``; outputs ``(B, classes)``. The published code averages
      columns over their features; here it is over positions.

    Raises:
      InputError: the architecture does not take the shape.

    >>> leaf = Node("computation", ("relu", 0))
    >>> net = einspace_network(Node("sequential", (), (leaf, leaf)), (2, 3), 4)
    >>> start = jax.jit(net.init)(jax.random.key(0))
    >>> run = jax.jit(lambda x: net.apply(*start, x, train=True)[0])
    >>> run(jnp.ones((5, 2, 3))).shape
    (5, 4)
    """
    check_arguments(einspace_network, {"classes": classes})
    body = module_function(node, shape)
    features = infer_shape(node, shape)[-1]

    def init(key: jax.Array) -> tuple[dict[str, Any], dict[str, Any]]:
        params, state = body.init(key)
        last = jax.random.fold_in(key, 2**20)
        kernel = jax.nn.initializers.lecun_normal()(last, (features, classes))
        params["head"] = {"kernel": kernel, "bias": jnp.zeros(classes)}
        return params, state

    def apply(
        params: dict[str, Any],
        state: dict[str, Any],
        x: jax.Array,
        *,
        train: bool,
        key: jax.Array | None = None,
        axis_name: str | None = None,
    ) -> tuple[jax.Array, dict[str, Any]]:
        y, state = body.apply(params, state, x, train=train, axis_name=axis_name)
        y = jnp.mean(y, axis=tuple(range(1, y.ndim - 1)))
        return _linear(params["head"], y), state

    return Functional(init, apply)


def count_parameters(node: Node, shape: Shape) -> int:
    """Parameters of a module, without making them.

    Args:
      node: the module.
      shape: of one example.

    Returns:
      Their number.

    >>> count_parameters(Node("computation", ("linear", 16)), (2, 3))
    64
    """
    leaves: dict[str, tuple[tuple[Any, ...], Shape]] = {}
    _compiled(node, shape, "", leaves)
    total = 0
    for (op, units), inner in leaves.values():
        if op == "linear":
            total += (inner[-1] + 1) * units
        elif op == "norm":
            total += 2 * inner[-1]
        elif op == "position":
            total += math.prod(inner)
    return total


def _compiled(
    node: Node, shape: Shape, name: str, leaves: dict[str, Any]
) -> Callable[..., jax.Array]:
    """``run(params, state, x, mode)``; ``state`` is changed, computations listed."""
    inside = lambda i: f"{name}.{i}" if name else str(i)
    if node.kind == "computation":
        own = name or "root"
        leaves[own] = (node.options, shape)
        return lambda p, s, x, mode: compute(node.options, p.get(own), s, own, x, mode)
    if node.kind == "sequential":
        runs, inner = [], shape
        for i, child in enumerate(node.children):
            runs.append(_compiled(child, inner, inside(i), leaves))
            inner = infer_shape(child, inner)
        return lambda p, s, x, mode: runs[1](p, s, runs[0](p, s, x, mode), mode)
    if node.kind == "branching":
        split, many, aggregate = node.options
        inner = split_shape(split, many, shape)
        runs = [
            _compiled(branch, inner, inside(i), leaves)
            for i, branch in enumerate(branches_of(node))
        ]

        def branched(p: Any, s: Any, x: jax.Array, mode: Mode) -> jax.Array:
            parts = split_parts(split, many, x)
            outs = [
                run(p, s, part, mode) for run, part in zip(runs, parts, strict=True)
            ]
            return aggregate_parts(aggregate, outs)

        return branched
    before, after = node.options
    only = _compiled(node.children[0], routed_shape(before, shape), inside(0), leaves)

    def routed(p: Any, s: Any, x: jax.Array, mode: Mode) -> jax.Array:
        y = only(p, s, route(before, x), mode)
        if after[0] == "col2im":
            return y.reshape(y.shape[0], *windows(before, shape), y.shape[-1])
        return route(after, y)

    return routed


def _first(key: jax.Array, options: tuple[Any, ...], shape: Shape) -> dict[str, Any]:
    op, units = options
    if op == "linear":
        kernel = KAIMING(key, (shape[-1], units))
        return {"kernel": kernel, "bias": jnp.zeros(computed_shape(options, shape)[-1])}
    if op == "norm":
        return {"scale": jnp.ones(shape[-1]), "bias": jnp.zeros(shape[-1])}
    if op == "position":
        return {"position": jax.random.normal(key, shape)}
    return {}


def _along(vector: jax.Array, x: jax.Array) -> jax.Array:
    return vector.astype(x.dtype).reshape((1,) * (x.ndim - 1) + vector.shape)


def _linear(own: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    return x @ own["kernel"].astype(x.dtype) + _along(own["bias"], x)


def _batch_mean(x: jax.Array, axis_name: str | None) -> jax.Array:
    mean = jnp.mean(x, axis=(0, 1, 2), keepdims=True)
    return mean if axis_name is None else jax.lax.pmean(mean, axis_name)


def compute(
    options: tuple[Any, ...],
    own: Any,
    state: dict[str, Any],
    name: str,
    x: jax.Array,
    mode: Mode,
) -> jax.Array:
    """One computation.

    Args:
      options: its operation and units.
      own: its parameters, or ``None``.
      state: running statistics by name; those of this computation are replaced.
      name: of the computation.
      x: ``(B, *shape)``.
      mode: of the call.

    Returns:
      The output.
    """
    op = options[0]
    if op == "linear":
        return _linear(own, x)
    if op == "relu":
        return jnp.where(x >= 0, x, jnp.asarray(SLOPE, x.dtype) * x)
    if op == "softmax":
        return jax.nn.softmax(x, axis=-1)
    if op == "position":
        return x + own["position"].astype(x.dtype)[None]
    if op != "norm":
        return x
    wide = x.astype(accumulation_dtype(x.dtype))
    if x.ndim == 3:
        mean = jnp.mean(wide, axis=-1, keepdims=True)
        variance = jnp.mean(jnp.square(wide - mean), axis=-1, keepdims=True)
    elif mode.train:
        mean = _batch_mean(wide, mode.axis_name)
        variance = _batch_mean(jnp.square(wide - mean), mode.axis_name)
        kept = state[name]
        found = {"mean": mean, "variance": variance}
        state[name] = {
            n: MOMENTUM * old + (1 - MOMENTUM) * found[n].ravel().astype(old.dtype)
            for n, old in kept.items()
        }
    else:
        mean, variance = (_along(state[name][n], wide) for n in ("mean", "variance"))
    y = (wide - mean) * jax.lax.rsqrt(variance + jnp.asarray(EPS, wide.dtype))
    return (y * _along(own["scale"], y) + _along(own["bias"], y)).astype(x.dtype)


def split_parts(split: str, many: int, x: jax.Array) -> list[jax.Array]:
    """The inputs of branches.

    Args:
      split: ``"clone"`` or ``"group"``.
      many: number of branches.
      x: ``(B, *shape)``.

    Returns:
      As many arrays.
    """
    return [x] * many if split == "clone" else jnp.split(x, many, axis=-1)


def aggregate_parts(aggregate: str, parts: list[jax.Array]) -> jax.Array:
    """Outputs of branches put together.

    Args:
      aggregate: sum, concatenation of features, product of two columns, or that over
        the root of the size that is summed.
      parts: ``(B, *shape)`` each.

    Returns:
      ``(B, *shape)``.
    """
    if aggregate == "add":
        return sum(parts[1:], parts[0])
    if aggregate == "concat":
        return jnp.concatenate(parts, axis=-1)
    product = parts[0] @ parts[1]
    if aggregate == "dot":
        return product
    return product / jnp.asarray(math.sqrt(parts[0].shape[-1]), product.dtype)


def route(kind: tuple[Any, ...], x: jax.Array) -> jax.Array:
    """A function before or after a module.

    Args:
      kind: the function.
      x: ``(B, *shape)``.

    Returns:
      ``(B, *shape)``; of ``im2col`` a column of features ``(kernel, kernel, C)``, the
      last one fastest, for each window.
    """
    if kind[0] == "identity":
        return x
    if kind[0] == "permute":
        return jnp.transpose(x, (0, *(axis + 1 for axis in kind[1:])))
    _, kernel, stride, padding = kind
    rows, columns = windows(kind, x.shape[1:])
    width = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    padded = jnp.pad(x, width)
    parts = [
        padded[
            :,
            i : i + (rows - 1) * stride + 1 : stride,
            j : j + (columns - 1) * stride + 1 : stride,
        ]
        for i in range(kernel)
        for j in range(kernel)
    ]
    y = jnp.stack(parts, axis=3)
    return y.reshape(x.shape[0], rows * columns, -1)
