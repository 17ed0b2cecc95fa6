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
_LONG, _LENGTHS, _TURNS = 4096, (32, 16, 8), 8


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
    size = _magnitudes(x)
    if jax.device_count() == 1:
        return _search(size, picks)
    return _row_by_row(picks)(size)


def without(x: jax.Array, places: jax.Array) -> jax.Array:
    """The rows with zeros where ``largest`` has picked.

    By comparisons with the last pick instead of a scatter, which XLA compiles again for
    each tensor and the partitioner may send.

    Args:
      x: ``(rows, block)``, as ``largest`` got it.
      places: what it gave.

    Returns:
      Array like ``x``; its derivative is one where nothing was picked.

    >>> x = jnp.array([[1.0, -3.0, 3.0, 0.5]])
    >>> without(x, largest(x, 2)).tolist()
    [[1.0, 0.0, 0.0, 0.5]]
    """
    size = _magnitudes(x)
    # Not of the picks themselves: with a slice of them XLA:CPU would sort the rows.
    limit = picked(size, places)[:, -1:]
    last = places.astype(jnp.int16)[:, -1:].astype(places.dtype)
    here = jnp.arange(x.shape[1], dtype=places.dtype)[None]
    # Of equal magnitudes the lowest indices are picked.
    taken = (size > limit) | ((size == limit) & (here <= last))
    return jnp.where(taken, jnp.zeros_like(x), x)


def picked(x: jax.Array, places: jax.Array) -> jax.Array:
    """The entries at some places of each row.

    Args:
      x: ``(rows, block)``.
      places: indices from 0 on, ``(rows, picks)``.

    Returns:
      ``(rows, picks)``.
    """
    options: Any = {"mode": "promise_in_bounds", "wrap_negative_indices": False}
    return jax.vmap(lambda row, at: row.at[at].get(**options))(x, places)


def _magnitudes(x: jax.Array) -> jax.Array:
    """Magnitudes without a derivative; what is no number is infinite."""
    size = jnp.abs(jax.lax.stop_gradient(x))
    limit = jnp.asarray(jnp.inf, x.dtype)
    return jnp.where(size < limit, size, limit)


def _search(size: jax.Array, picks: int) -> jax.Array:
    """``largest`` of numbers that are not negative."""
    block = size.shape[1]
    # On a CPU the search costs most where an entry displaces one found before it, so
    # what is below a bound is hidden from it: of the entries of normal rows all but a
    # few more than are picked.
    fitting = (n for n in _LENGTHS if not block % n and block // n >= 2 * picks)
    length = next(fitting, 0)
    if block >= _LONG and length and traced_for(size) == "cpu":
        hidden = size < _lower_bound(size, picks, length)
        size = jnp.where(hidden, jnp.full_like(size, -1), size)
    return jax.lax.top_k(size, picks)[1]


def _lower_bound(size: jax.Array, picks: int, length: int) -> jax.Array:
    """A number that at least ``picks`` entries of each row reach, ``(rows, 1)``.

    As many groups as are counted have such an entry, so the maxima of groups of
    ``length`` will do: bisection between the least of them and the largest.
    """
    rows, block = size.shape
    maxima = size.reshape(rows, block // length, length).max(axis=-1)

    def turn(_: Any, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = ends
        middle = low / 2 + high / 2
        reach = jnp.sum((maxima >= middle).astype(jnp.int32), axis=1, keepdims=True)
        enough = reach >= picks
        return jnp.where(enough, middle, low), jnp.where(enough, high, middle)

    ends = maxima.min(axis=1, keepdims=True), maxima.max(axis=1, keepdims=True)
    return jax.lax.fori_loop(0, _TURNS, turn, ends)[0]


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
