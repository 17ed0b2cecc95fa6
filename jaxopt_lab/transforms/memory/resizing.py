"""A change of a buffer's capacity."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxopt_lab.transforms.memory.buffer import (
    Policy,
    PriorityBuffer,
    following_slot,
    looking_ahead,
)
from jaxopt_lab.transforms.memory.slots import Rank, added_up, spread


def resize(
    buffer: PriorityBuffer,
    capacity: int,
    *,
    policy: Policy = "priority",
    rank: Rank | None = None,
) -> PriorityBuffer:
    """The buffer with more or fewer slots; the entries of highest key stay.

    Args:
      buffer: the buffer.
      capacity: the new number of slots, at least 1.
      policy: as in ``admit``; with ``"fifo"`` the youngest entries stay.
      rank: as in ``admit``.

    Returns:
      A buffer whose entries keep their order in the slots. Among equal keys the
      entries in earlier slots stay.
    """

    def kept(keys: jax.Array, ages: jax.Array) -> jax.Array:
        badness = ages if policy == "fifo" else -keys
        used = jnp.arange(keys.shape[0]) < buffer.size
        return jnp.sort(jnp.argsort(jnp.where(used, badness, jnp.inf))[:capacity])

    def moved(x: jax.Array, index: jax.Array) -> jax.Array:
        x = x[index]
        more = capacity - x.shape[0]
        return jnp.pad(x, [(0, more), *[(0, 0)] * (x.ndim - 1)])

    indices = jax.tree.map(kept, buffer.keys, buffer.ages)
    keys = jax.tree.map(moved, buffer.keys, indices)
    ages = jax.tree.map(moved, buffer.ages, indices)
    entries = jax.tree.map(moved, buffer.entries, spread(indices, buffer.entries))
    size = jnp.minimum(buffer.size, capacity)
    smaller = buffer._replace(
        size=size,
        slot=jax.tree.map(lambda k, a: following_slot(k, a, size, policy), keys, ages),
        keys=keys,
        ages=ages,
        entries=entries,
        total=None if buffer.total is None else added_up(entries, buffer.total),
    )
    return looking_ahead(smaller, rank)
