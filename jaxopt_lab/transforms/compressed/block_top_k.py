"""The largest magnitudes of every block of a tensor."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax.experimental.custom_partitioning import custom_partitioning
from jax.sharding import NamedSharding, PartitionSpec

from jaxopt_lab.core.platforms import traced_for

# A number that shapes the program. Under a name of its own, because arguments called
# float are hyper-parameters to ``inject_hyperparams``, which would trace it.
Density: TypeAlias = float

# Local indices are int16.
LARGEST_BLOCK = 32_767
_GROUP = 8


class TopBlocks(NamedTuple):
    """The blocks that a tensor is cut into, and the number picked of each.

    Blocks are runs of the flattened tensor, cut by its global shape alone: where the
    tensor is spread over several devices the picks do not depend on it.

    Attributes:
      size: elements of the tensor.
      block: elements in a block, at most ``size``; the last block may be short.
      picks: elements picked in a whole block.
      last: elements of the last block if it is short, else 0.
      last_picks: elements picked in it.
    """

    size: int
    block: int
    picks: int
    last: int
    last_picks: int

    @classmethod
    def of(cls, shape: tuple[int, ...], block_size: int, density: float) -> TopBlocks:
        """The cut for a shape.

        Args:
          shape: shape of the whole tensor.
          block_size: elements in a block; a smaller tensor is one block.
          density: picked share of a block, rounded up to whole elements.

        Returns:
          The cut.

        >>> TopBlocks.of((20, 30), 128, 0.01)
        TopBlocks(size=600, block=128, picks=2, last=88, last_picks=1)
        """
        size = math.prod(shape)
        block = max(1, min(block_size, size))
        last = size % block
        picks, last_picks = (math.ceil(n * density) for n in (block, last))
        return cls(size, block, picks, last, last_picks)

    @property
    def count(self) -> int:
        """Number of blocks."""
        return -(-self.size // self.block)


def largest(x: jax.Array, picks: int) -> jax.Array:
    """Indices of the largest magnitudes of each row.

    Args:
      x: ``(rows, block)``, real.
      picks: how many, at most ``block``.

    Returns:
      int32 ``(rows, picks)``, each index once. Equal magnitudes: the lowest index
      first. What is no number counts as infinitely large, so that it shows. Rows
      on several devices are searched where they are.

    >>> largest(jnp.array([[1.0, -3.0, 3.0, 0.5]]), 2).tolist()
    [[1, 2]]
    """
    size = jnp.abs(jax.lax.stop_gradient(x))
    limit = jnp.asarray(jnp.inf, x.dtype)
    size = jnp.where(size < limit, size, limit)
    if jax.device_count() == 1:
        return _search(size, picks)
    return _row_by_row(picks)(size)


def _search(size: jax.Array, picks: int) -> jax.Array:
    """``largest`` of numbers that are not negative."""
    rows, block = size.shape
    groups = block // _GROUP
    # Two levels are exact, ties included: each group that holds a pick is among the
    # `picks` groups with the largest maxima, and within the sorted groups the order
    # of the candidates is that of their indices.
    few = block % _GROUP == 0 and picks * _GROUP * 2 <= block
    if not few or traced_for(size) != "cpu":
        return jax.lax.top_k(size, picks)[1]
    maxima = size.reshape(rows, groups, _GROUP).max(axis=-1)
    chosen = jnp.sort(jax.lax.top_k(maxima, picks)[1], axis=-1)
    inside = (
        chosen[..., None] * _GROUP + jnp.arange(_GROUP, dtype=jnp.int32)[None, None]
    )
    inside = inside.reshape(rows, picks * _GROUP)
    candidates = jnp.take_along_axis(size, inside, axis=-1, mode="promise_in_bounds")
    place = jax.lax.top_k(candidates, picks)[1]
    return jnp.take_along_axis(inside, place, axis=-1, mode="promise_in_bounds")


@functools.cache
def _row_by_row(picks: int) -> Callable[[jax.Array], jax.Array]:
    """``_search`` that the partitioner cuts between rows.

    By itself it gathers all rows of a ``top_k`` on every device.
    """

    @custom_partitioning
    def search(size: jax.Array) -> jax.Array:
        return _search(size, picks)

    def alone(size: jax.Array) -> jax.Array:
        # On its own device: of an explicit mesh in the context nothing may be said.
        with jax.sharding.use_abstract_mesh(jax.sharding.AbstractMesh((), ())):
            return _search(size, picks)

    def partition(mesh: Any, arguments: Any, result: Any) -> Any:
        del result
        lies = arguments[0].sharding
        rows = lies.spec[0] if len(lies.spec) else None
        lies = NamedSharding(lies.mesh, PartitionSpec(rows, None))
        return mesh, alone, lies, (lies,)

    search.def_partition(
        partition=partition,
        sharding_rule="rows block -> rows picks",
        need_replication_factors=("block", "picks"),
    )

    # The partitioned form has no batching rule of its own.
    @jax.custom_batching.custom_vmap
    def call(size: jax.Array) -> jax.Array:
        return search(size)

    @call.def_vmap
    def _(axis_size: int, batched: Any, size: jax.Array) -> tuple[jax.Array, bool]:
        del batched
        rows, block = size.shape[1:]
        found = call(size.reshape(axis_size * rows, block))
        return found.reshape(axis_size, rows, picks), True

    return call
