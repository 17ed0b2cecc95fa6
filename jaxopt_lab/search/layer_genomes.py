"""Layers of normalization and activation as genomes, which one program interprets."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.search.space import Choice, Space

INPUTS = ("x", "zero", "v0", "v1")
"""The first values: the input, 0, and two numbers a channel that start at 0 and 1."""

EPS = 1e-3
"""Added to divisors, under roots and in logarithms; ours."""

_Op = Callable[[jax.Array, jax.Array], jax.Array]


def _safe_root(square: jax.Array) -> jax.Array:
    return jnp.sqrt(square + jnp.asarray(EPS, square.dtype))


def _signed_root(a: jax.Array) -> jax.Array:
    size = jnp.abs(a)
    zero = size == 0
    return jnp.sign(a) * jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, size)))


def _moment(kind: str, axes: str, groups: int) -> _Op:
    def run(a: jax.Array, b: jax.Array) -> jax.Array:
        del b
        shape = a.shape
        over = {"bhw": (0, 1, 2), "hw": (1, 2), "chw": (1, 2, 3), "hwg": (1, 2, 4)}
        if axes == "hwg":
            a = a.reshape(*shape[:-1], groups, -1)
        mean = jnp.mean(a, axis=over[axes], keepdims=True)
        if kind == "mean":
            found = mean
        elif kind == "rms":
            found = _safe_root(jnp.mean(a * a, axis=over[axes], keepdims=True))
        else:
            apart = a - mean
            found = _safe_root(jnp.mean(apart * apart, axis=over[axes], keepdims=True))
        return jnp.broadcast_to(found, a.shape).reshape(shape)

    return run


_ELEMENTWISE: Mapping[str, _Op] = {
    "add": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "max": jnp.maximum,
    "div": lambda a, b: a / (b + jnp.asarray(EPS, b.dtype)),
    "neg": lambda a, b: -a,
    "sigmoid": lambda a, b: jax.nn.sigmoid(a),
    "tanh": lambda a, b: jnp.tanh(a),
    "exp": lambda a, b: jnp.exp(a),
    "abs": lambda a, b: jnp.abs(a),
    "square": lambda a, b: a * a,
    "signed_sqrt": lambda a, b: _signed_root(a),
    "signed_log": lambda a, b: (
        jnp.sign(a) * jnp.log(jnp.abs(a) + jnp.asarray(EPS, a.dtype))
    ),
}
_BINARY = 4
_MOMENTS = tuple(
    f"{kind}_{axes}"
    for axes in ("hw", "chw", "hwg", "bhw")
    for kind in ("mean", "rms", "std")
)
OPS = (*_ELEMENTWISE, *_MOMENTS)
"""The operations by number; those over the batch are the last three."""


def genome_space(
    nodes: Annotated[int, COUNT] = 10, *, batch_axes: bool = True
) -> Space:
    """The space of genomes of a number of nodes, one dimension a node.

    A node is an operation and the numbers of two earlier values, ``INPUTS`` or nodes;
    ``regularized_evolution`` of this space is the layer search of EvoNorm: a child
    differs from its parent in one node.

    Args:
      nodes: how many; the last one is the output, before its scale and bias.
      batch_axes: moments over the batch (B series); without them examples are
        independent (S series).

    Returns:
      ``node_0``, ``node_1``, ... by name, triples of whole numbers.

    Raises:
      InputError: ``nodes`` is below 1.

    Source: Liu et al., "Evolving Normalization-Activation Layers", 2020
    (https://arxiv.org/abs/2004.02967), from memory.

    >>> space = genome_space(2)
    >>> len(space), space["node_0"].at(0.0), space["node_1"].at(0.999999)
    (2, (0, 0, 0), (23, 4, 4))
    """
    check_arguments(genome_space, {"nodes": nodes})
    count = len(OPS) if batch_axes else len(OPS) - 3
    space = {}
    for i in range(nodes):
        places = range(len(INPUTS) + i)
        triples = [(op, a, b) for op in range(count) for a in places for b in places]
        space[f"node_{i}"] = Choice(tuple(triples))
    return space


def as_genome(candidate: Mapping[str, Sequence[int]]) -> np.ndarray:
    """A candidate of ``genome_space`` as an array.

    Args:
      candidate: triples by name.

    Returns:
      ``(nodes, 3)`` of int32.

    Raises:
      InputError: a node is no operation of earlier values.

    >>> as_genome({"node_0": (1, 0, 3)}).tolist()
    [[1, 0, 3]]
    """
    rows = [candidate[f"node_{i}"] for i in range(len(candidate))]
    genome = np.asarray(rows, np.int32).reshape(-1, 3)
    for i, (op, *places) in enumerate(genome.tolist()):
        fits = 0 <= op < len(OPS) and all(0 <= p < len(INPUTS) + i for p in places)
        if not fits:
            raise InputError(
                f"node {i} must be one of {len(OPS)} operations of the "
                f"{len(INPUTS) + i} values before it; got {genome[i].tolist()}"
            )
    return genome


def genome_of(*nodes: tuple[str, int | str, int | str]) -> np.ndarray:
    """A genome written by names.

    Args:
      *nodes: the operation and its two values: names of ``INPUTS``, or the numbers of
        earlier nodes from 0. Functions of one value do not read the second.

    Returns:
      The genome.

    Raises:
      InputError: as ``as_genome``.

    >>> genome_of(("mul", "x", "v1"), ("sigmoid", 0, 0)).tolist()
    [[1, 0, 3], [5, 4, 4]]
    """

    def place(value: int | str) -> int:
        return INPUTS.index(value) if isinstance(value, str) else len(INPUTS) + value

    rows = [(OPS.index(op), place(a), place(b)) for op, a, b in nodes]
    return as_genome({f"node_{i}": row for i, row in enumerate(rows)})


def reads_input(genome: np.ndarray) -> bool:
    """Whether the output of a genome depends on x; one that does not is to be rejected.

    Args:
      genome: ``(nodes, 3)``.

    Returns:
      The answer by the graph alone: ``x - x`` reads it.

    >>> reads_input(genome_of(("add", "v0", "v1")))
    False
    """
    reads = [True, False, False, False]
    for op, a, b in np.asarray(genome).tolist():
        reads.append(reads[a] or (op < _BINARY and reads[b]))
    return reads[-1]


def genome_params(channels: int, dtype: Any = jnp.float32) -> dict[str, jax.Array]:
    """The parameters of a genome's layer at the start.

    Args:
      channels: size of the last axis.
      dtype: their type.

    Returns:
      ``v0`` and ``bias`` of 0, ``v1`` and ``scale`` of 1.

    >>> sorted(genome_params(2))
    ['bias', 'scale', 'v0', 'v1']
    """
    zeros, ones = jnp.zeros(channels, dtype), jnp.ones(channels, dtype)
    return {"v0": zeros, "v1": ones, "scale": ones, "bias": zeros}


def apply_genome(
    genome: jax.Array, params: Mapping[str, jax.Array], x: jax.Array, *, groups: int
) -> jax.Array:
    """The layer that a genome describes; the genome is data, so one program has all.

    Args:
      genome: ``(nodes, 3)`` of whole numbers, traced or not.
      params: ``v0``, ``v1``, ``scale`` and ``bias``, ``(C,)`` each.
      x: ``(B, H, W, C)``.
      groups: of the channels, for moments over groups; divides C.

    Returns:
      The last node times ``scale`` plus ``bias``, of the shape and type of ``x``. It
      may be infinite; a search is to reject such a genome. Moments over the batch are
      those of this batch. Kept for the gradient: the values of all nodes.

    Raises:
      InputError: ``groups`` does not divide the channels, or ``x`` is no image.

    >>> relu = genome_of(("max", "x", "zero"))
    >>> x = jnp.array([-1.0, 2.0]).reshape(1, 1, 1, 2)
    >>> apply_genome(relu, genome_params(2), x, groups=1).ravel().tolist()
    [0.0, 2.0]
    """
    if x.ndim != 4 or x.shape[-1] % groups:
        raise InputError(
            f"apply_genome takes images (B, H, W, C) whose channels groups={groups} "
            f"divides; got {x.shape}"
        )
    along = lambda name: params[name].astype(x.dtype).reshape(1, 1, 1, -1)
    first = (x, jnp.zeros_like(x), along("v0"), along("v1"))
    values = [jnp.broadcast_to(value, x.shape) for value in first]
    parts = (name.split("_") for name in _MOMENTS)
    moments = [_moment(kind, axes, groups) for kind, axes in parts]
    branches = [*_ELEMENTWISE.values(), *moments]
    genome = jnp.asarray(genome)
    for i in range(genome.shape[0]):
        known = jnp.stack(values)
        a, b = known[genome[i, 1]], known[genome[i, 2]]
        values.append(jax.lax.switch(genome[i, 0], branches, a, b))
    return values[-1] * along("scale") + along("bias")
