"""Vectors that are trees: products, norms, random draws, and stacks of them.

A parameter tree is never flattened into one array: on a sharded leaf that would be a
gather. Sums run in float32 or better, and matrix units at full precision: their
default on accelerators keeps 8 to 11 bits, too few to keep vectors orthogonal.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import NamedSharding

from jaxopt_lab.core import errors, trees
from jaxopt_lab.core.typing import PyTree

Probe = Literal["rademacher", "normal"]
_FULL = jax.lax.Precision.HIGHEST


def scale(factor: Array | float, a: PyTree) -> PyTree:
    """``factor * a`` in the types of ``a``.

    Args:
      factor: scalar.
      a: tree of floating arrays.

    Returns:
      The product.
    """
    return jax.tree.map(lambda x: jnp.asarray(factor, x.dtype) * x, a)


def add_scaled(a: PyTree, factor: Array | float, b: PyTree) -> PyTree:
    """``a + factor * b`` in the types of ``a``.

    Args:
      a: tree of floating arrays.
      factor: scalar.
      b: tree of the same structure and shapes.

    Returns:
      The sum.
    """
    return jax.tree.map(lambda x, y: x + jnp.asarray(factor, x.dtype) * y, a, b)


def divided(a: PyTree, divisor: Array) -> PyTree:
    """``a / divisor`` in the types of ``a``.

    Args:
      a: tree of floating arrays.
      divisor: scalar, not zero.

    Returns:
      The quotient.
    """
    return jax.tree.map(lambda x: x / divisor.astype(x.dtype), a)


def unit(a: PyTree) -> tuple[PyTree, Array]:
    """A vector divided by its norm.

    Args:
      a: tree of floating arrays.

    Returns:
      ``(a / norm, norm)``; the zero vector stays zero.
    """
    norm = trees.global_norm(a).astype(trees.scalar_dtype(a))
    return scale(trees.safe_divide(jnp.ones_like(norm), norm), a), norm


def empty_stack(like: PyTree, rows: int) -> PyTree:
    """A zero-filled buffer for ``rows`` vectors.

    Args:
      like: tree of arrays or ``jax.ShapeDtypeStruct``.
      rows: number of vectors.

    Returns:
      A tree of arrays ``(rows, *shape)``, sharded like the vectors.
    """

    def one(x: Any) -> Array:
        zeros = jnp.zeros((rows, *x.shape), x.dtype)
        return _constrained(zeros, x, leading=1)

    return jax.tree.map(one, like)


def set_row(stack: PyTree, i: int | Array, a: PyTree) -> PyTree:
    """The stack with vector ``i`` replaced.

    Args:
      stack: from ``empty_stack``.
      i: index, possibly traced.
      a: the vector.

    Returns:
      The new stack.
    """
    put = jax.lax.dynamic_update_index_in_dim
    return jax.tree.map(lambda rows, x: put(rows, x, i, 0), stack, a)


def coefficients(stack: PyTree, a: PyTree) -> Array:
    """Inner products of a vector with every vector of a stack.

    Args:
      stack: tree of arrays ``(rows, *shape)``.
      a: the vector.

    Returns:
      ``(rows,)``.
    """
    dtype = trees.scalar_dtype(a)

    def one(rows: Array, x: Array) -> Array:
        rows, x = rows.astype(dtype), x.astype(dtype)
        return jnp.tensordot(rows, x, axes=x.ndim, precision=_FULL)

    first, *others = jax.tree.leaves(jax.tree.map(one, stack, a))
    for part in others:
        first = first + part
    return first


def combine(weights: Array, stack: PyTree) -> PyTree:
    """Sums of the vectors of a stack.

    Args:
      weights: ``(rows,)`` for one sum, ``(rows, n)`` for n.
      stack: tree of arrays ``(rows, *shape)``.

    Returns:
      One vector, or a stack of n.
    """

    def one(rows: Array) -> Array:
        w = weights.astype(rows.dtype)
        return jnp.tensordot(w.T, rows, axes=1, precision=_FULL)

    return jax.tree.map(one, stack)


def orthogonal_part(a: PyTree, stack: PyTree) -> PyTree:
    """The component of a vector orthogonal to orthonormal ones.

    Args:
      a: the vector.
      stack: orthonormal vectors, and rows of zeros.

    Returns:
      ``a`` less its projection, subtracted twice: one subtraction leaves an error of
      the size of the rounding of ``a``, which dominates a small remainder.
    """
    for _ in range(2):
        inside = combine(coefficients(stack, a), stack)
        a = jax.tree.map(lambda x, y: x - y, a, inside)
    return a


def check_probe(probe: str) -> None:
    """Refuse an unknown distribution.

    Args:
      probe: the name given.

    Raises:
      InputError: it is neither ``"rademacher"`` nor ``"normal"``.
    """
    if probe not in get_args(Probe):
        raise errors.unknown("probe", probe, get_args(Probe))


def draw(key: Array, like: PyTree, probe: Probe = "normal") -> PyTree:
    """A random vector with independent entries of variance 1.

    Args:
      key: typed PRNG key.
      like: tree of arrays or ``jax.ShapeDtypeStruct``.
      probe: ``"rademacher"`` (entries -1 and 1) or ``"normal"``.

    Returns:
      The vector, sharded like the parameters; its values do not depend on that.
    """
    leaves, structure = jax.tree.flatten(like)
    fn = jax.random.rademacher if probe == "rademacher" else jax.random.normal
    keys = jax.random.split(key, max(len(leaves), 1))
    drawn = [
        _constrained(fn(k, x.shape, x.dtype), x)
        for k, x in zip(keys, leaves, strict=False)
    ]
    return jax.tree.unflatten(structure, drawn)


def _constrained(x: Array, like: Any, leading: int = 0) -> Array:
    sharding = getattr(like, "sharding", None)
    if not isinstance(sharding, NamedSharding):
        return x
    spec = jax.sharding.PartitionSpec(*(None,) * leading, *sharding.spec)
    return jax.lax.with_sharding_constraint(x, NamedSharding(sharding.mesh, spec))
