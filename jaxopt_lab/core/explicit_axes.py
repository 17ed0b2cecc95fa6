"""Functions that reshape, on meshes whose axes are explicit."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec


def with_auto_axes(f: Callable[..., Any], like: Any) -> Callable[..., Any]:
    """``f`` with its shardings left to the compiler.

    On an explicit mesh jax needs the output sharding of every reshape of a sharded
    array. A kernel that cuts tensors into blocks has many reshapes, and the compiler
    infers their shardings.

    Args:
      f: function of arrays. What it closes over must be no array of an explicit
        mesh, or pass through ``reshard_here``.
      like: arrays with the shardings of the results, or these shardings, in the
        structure of the results.

    Returns:
      ``f`` itself where no axis is explicit, else a function that runs it with all of
      them automatic.
    """
    mesh = _mesh(like)
    if AxisType.Explicit not in mesh.axis_types:
        return f

    def sharding_of(x: Any) -> NamedSharding:
        found = _sharding(x)
        # A constant may have no mesh yet.
        return NamedSharding(mesh, PartitionSpec()) if found.mesh.empty else found

    return jax.sharding.auto_axes(f, out_sharding=jax.tree.map(sharding_of, like))


def with_block_axes(
    f: Callable[..., Any], tensor: jax.Array, block: int
) -> Callable[..., Any]:
    """``with_auto_axes`` for what is stored block by block for a tensor.

    Args:
      f: function of the tensor that gives arrays which begin with blocks or rows.
      tensor: the tensor.
      block: elements that must stay together.

    Returns:
      The function; on an explicit mesh its results are sharded along the first axis
      as the tensor is, where that cuts no block, and else are replicated.
    """
    sharding = jax.typeof(tensor).sharding
    mesh = _mesh(tensor)
    if AxisType.Explicit not in mesh.axis_types:
        return f
    first = None if sharding.mesh.empty or not sharding.spec else sharding.spec[0]
    names = first if isinstance(first, tuple) else (first,)
    shards = math.prod(mesh.shape[name] for name in names if name is not None)
    even = shards > 1 and tensor.size % (shards * block) == 0

    def place(x: Any) -> NamedSharding:
        if x.shape == tensor.shape and not sharding.mesh.empty:
            return sharding
        cut = even and x.ndim and x.shape[0] % shards == 0
        return NamedSharding(mesh, PartitionSpec(first) if cut else PartitionSpec())

    plain = jax.ShapeDtypeStruct(tensor.shape, tensor.dtype)
    return with_auto_axes(f, jax.tree.map(place, jax.eval_shape(f, plain)))


def reshard_here(x: Any) -> Any:
    """A number that was made outside of ``with_auto_axes``, for use inside of it.

    Args:
      x: a replicated scalar or array.

    Returns:
      The same on the mesh of the context.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if not isinstance(x, jax.Array) or mesh.empty:
        return x
    made = jax.typeof(x).sharding.mesh
    if made.empty or made == mesh:
        return x
    return jax.sharding.reshard(x, NamedSharding(mesh, PartitionSpec()))


def _sharding(x: Any) -> NamedSharding:
    return x if isinstance(x, NamedSharding) else jax.typeof(x).sharding


def _mesh(like: Any) -> Any:
    """The mesh of the context, or else that of an array."""
    context = jax.sharding.get_abstract_mesh()
    meshes = [_sharding(x).mesh for x in jax.tree.leaves(like)]
    known = [mesh for mesh in meshes if not mesh.empty]
    return known[0] if context.empty and known else context
