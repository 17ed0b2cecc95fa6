"""Kernels that reshape, on meshes whose axes are explicit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec


def automatic(f: Callable[..., Any], like: Any) -> Callable[..., Any]:
    """``f`` with its shardings left to the compiler.

    On an explicit mesh jax asks at every reshape of a sharded array where the result
    lies. A kernel that cuts tensors into blocks has many, and the compiler finds
    them by itself.

    Args:
      f: function of arrays.
      like: arrays with the shardings of the results, in the structure of the results.

    Returns:
      ``f`` itself where no axis is explicit, else a function that runs it with all of
      them automatic.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if AxisType.Explicit not in mesh.axis_types:
        return f

    def lies(x: jax.Array) -> NamedSharding:
        found = jax.typeof(x).sharding
        # A constant may lie on no mesh yet.
        return NamedSharding(mesh, PartitionSpec()) if found.mesh.empty else found

    shardings = jax.tree.map(lies, like)
    return jax.sharding.auto_axes(f, out_sharding=shardings)
