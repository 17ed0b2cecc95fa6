"""Groups of rows whose weights are distributed alike, and their order in a network."""
# Its examples wait for pytest --full.

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.k_means import lloyd, nearest_centre, spread_start
from jaxopt_lab.core.known_values import known_values
from jaxopt_lab.core.options import COUNT, check_arguments

_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
_SWEEPS = 30


def group_rows(
    key: jax.Array, weight: jax.Array, *, groups: Annotated[int, COUNT] = 8
) -> jax.Array:
    """Groups of neurons by mean, deviation and five quantiles of their weights.

    The seven numbers are standardised over the rows; k-means, started by k-means++,
    groups them.

    Args:
      key: of the start.
      weight: ``(outputs, inputs)``, real floating.
      groups: number of groups; some may stay empty where rows are alike.

    Returns:
      The group of every row, int32, ``(outputs,)``. ``jnp.argsort`` of it (stable) is
      the order in which groups are contiguous.

    Raises:
      InputError: no matrix, or more groups than rows.

    >>> rows = jnp.array([[1.0, -1.0], [9.0, 7.0], [1.5, -1.0]])
    >>> group = group_rows(jax.random.key(0), rows, groups=2)
    >>> bool(group[0] == group[2]), bool(group[0] == group[1])
    (True, False)

    Source: as of ``joint_codebook``; the numbers that describe a row are ours.
    """
    check_arguments(group_rows, locals())
    check_matrix(weight)
    if groups > len(weight):
        raise InputError(
            f"groups={groups} for {len(weight)} rows; accepted: at most one a row"
        )
    return _grouped(key, weight, groups)


@functools.partial(jax.jit, static_argnums=2)
def _grouped(key: jax.Array, weight: jax.Array, groups: int) -> jax.Array:
    rows = weight.astype(trees.accumulation_dtype(weight.dtype))
    numbers = [jnp.mean(rows, axis=1), jnp.std(rows, axis=1)]
    numbers += list(jnp.quantile(rows, jnp.array(_QUANTILES, rows.dtype), axis=1))
    points = jnp.stack(numbers, axis=1)
    points = points - jnp.mean(points, axis=0, keepdims=True)
    points = trees.safe_divide(points, jnp.std(points, axis=0, keepdims=True))
    start = spread_start(key, points, groups)
    centres = lloyd(points, start, jnp.full(len(points), True), _SWEEPS)
    return nearest_centre(points, centres).astype(jnp.int32)


def check_matrix(weight: jax.Array) -> None:
    """Refuse what is no real floating matrix with an entry."""
    floating = jnp.issubdtype(weight.dtype, jnp.floating)
    if not floating or weight.ndim != 2 or weight.size == 0:
        raise InputError(
            "weight must be a real floating matrix (outputs, inputs) that is not "
            f"empty; got {weight.dtype} of shape {weight.shape}"
        )


def permute_layer_chain(
    layers: Sequence[Mapping[str, Any]], orders: Sequence[jax.Array | None]
) -> list[dict[str, Any]]:
    """The same network with the outputs of its layers in another order.

    The order of a layer moves its outputs (the last axis of every leaf) and the inputs
    of the next one, so nothing has to be looked up at run time. The next kernel's
    inputs may be several copies of the outputs, as after flattening an image whose
    channels come last.

    Args:
      layers: one mapping of leaves a layer, in the order of use. ``"kernel"`` is
        ``(..., inputs, outputs)``; leaves of one axis are bias, scale or statistics. A
        layer without a kernel, such as a normalization, follows the one before.
      orders: for every layer the new order of its outputs, or ``None``.

    Returns:
      The layers. Their network is the same function, up to the order of sums.

    Raises:
      InputError: not one order a layer, one for the last kernel's outputs (which are
        the network's) or for a layer without a kernel, no permutation, or sizes that do
        not fit.

    >>> kernels = jnp.array([[1.0, 2.0]]), jnp.array([[3.0], [4.0]])
    >>> chain = [{"kernel": kernel} for kernel in kernels]
    >>> first, last = permute_layer_chain(chain, [jnp.array([1, 0]), None])
    >>> first["kernel"].tolist(), last["kernel"].tolist()
    ([[2.0, 1.0]], [[4.0], [3.0]])
    """
    if len(layers) != len(orders):
        raise InputError(
            f"one order for each layer is needed; got {len(orders)} for {len(layers)}"
        )
    kernels = [i for i, layer in enumerate(layers) if "kernel" in layer]
    before, changed = None, []
    for i, (layer, order) in enumerate(zip(layers, orders, strict=True)):
        leaves = dict(layer)
        if order is not None:
            if i not in kernels or i == kernels[-1]:
                which = "has no kernel" if i not in kernels else "is the last kernel"
                raise InputError(f"orders[{i}] must be None: layer {i} {which}")
            _check_order(i, order, leaves["kernel"].shape[-1])
        if "kernel" in leaves:
            leaves["kernel"] = _inputs_moved(i, leaves["kernel"], before)
            before = order
        if before is not None:
            for name, leaf in leaves.items():
                if leaf.shape[-1] != len(before):
                    raise InputError(
                        f"leaf {name!r} of layer {i} must have {len(before)} outputs "
                        f"on its last axis; got shape {leaf.shape}"
                    )
            leaves = {n: leaf[..., before] for n, leaf in leaves.items()}
        changed.append(leaves)
    return changed


def _inputs_moved(number: int, kernel: jax.Array, order: jax.Array | None) -> jax.Array:
    """A kernel whose inputs follow the outputs before it."""
    if order is None:
        return kernel
    inputs = kernel.shape[-2]
    if inputs % len(order):
        raise InputError(
            f"the kernel of layer {number} must have a multiple of {len(order)} "
            f"inputs, the outputs before it; got {inputs}"
        )
    parts = (*kernel.shape[:-2], -1, len(order), kernel.shape[-1])
    return kernel.reshape(parts)[..., order, :].reshape(kernel.shape)


def _check_order(number: int, order: jax.Array, outputs: int) -> None:
    known = known_values(order)
    if order.shape != (outputs,) or (
        known is not None and sorted(known.tolist()) != list(range(outputs))
    ):
        raise InputError(
            f"orders[{number}] must be a permutation of the {outputs} outputs"
        )
