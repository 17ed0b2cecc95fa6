"""A priority buffer of fixed capacity over a parameter tree, as pure data.

The cost of a step does not grow with the capacity. Two things would make it grow:
adding up all entries at every step, and reading an entry in the same program
that overwrites it, which makes XLA copy the whole buffer. So the buffer carries the
sum of its entries, and the place where a new entry goes is made to depend on the new
sum, so that XLA knows that the old entry has been read by then.

An entry that its owner keeps until the next step can wait there: ``offer`` decides
about it, and ``store`` writes it when the next step begins. Then the sum changes
before anything reads it, and in place; after ``admit``, which does both at once, XLA
keeps a copy of the old sum for what else reads it.
"""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core import moments, trees
from jaxopt_lab.core.typing import Params, PyTree, Scalar, Updates
from jaxopt_lab.transforms.memory.stacked_rows import (
    Rank,
    added_up,
    exchanged,
    ranked,
    read,
    refreshed,
    spread,
    write,
)

Policy: TypeAlias = Literal["priority", "fifo"]
Sums: TypeAlias = Literal["running", "fresh", "none"]

# The error of a running sum in float32 is a random walk; it is recomputed this often.
REFRESH = 64


class PriorityBuffer(NamedTuple):
    """A buffer of C entries.

    Attributes:
      count: int32 scalar, number of entries offered so far.
      size: int32 scalar, number of slots in use; they are the first ones.
      slot: int32 scalar, the slot that the next admission takes; a tree of scalars
        where every leaf has keys of its own.
      keys: float array (C,), priorities, decayed; or a tree of them.
      ages: int32 array (C,), steps since the admission; or a tree of them.
      entries: like the parameters, each leaf with a leading axis of length C; zeros
        in unused slots.
      total: like the parameters, float32 or better, sum of the entries; ``None`` in a
        buffer without sums.
      waiting: the slot of the entry that was offered last and is not stored yet, C if
        there is none; a tree where every leaf has keys of its own; ``None`` in a buffer
        without such entries. Keys, ages and counts know it; ``entries`` and ``total``
        do not.
      chosen: the entry of lowest, median or highest key, where one is asked for.
    """

    count: jax.Array
    size: jax.Array
    slot: PyTree
    keys: PyTree
    ages: PyTree
    entries: Updates
    total: Updates | None
    waiting: PyTree | None
    chosen: Updates | None


def empty(
    params: Params,
    capacity: int,
    *,
    per_leaf: bool = False,
    sums: Sums = "running",
    chosen: bool = False,
    waits: bool = False,
    dtype: DTypeLike | None = None,
) -> PriorityBuffer:
    """A buffer without entries.

    Args:
      params: tree whose shapes and sharding the entries get.
      capacity: C, number of slots, at least 1.
      per_leaf: every leaf has its own keys and decides for itself.
      sums: ``"running"``: the sum of the entries is carried on; ``"fresh"``: added up
        again after every admission, which takes C reads a step (entries narrower than
        float32 are carried on all the same); ``"none"``: there is none.
      chosen: keep one entry by its rank beside the others.
      waits: an entry is offered and stored in two steps.
      dtype: type of the entries; default float32 or better.

    Returns:
      The buffer.
    """

    def stacked(p: jax.Array) -> jax.Array:
        zero = jnp.zeros_like(p, dtype=dtype or moments.moment_dtype(p.dtype))
        return jnp.broadcast_to(zero[None], (capacity, *p.shape))

    def shared(make: jax.Array) -> PyTree:
        return jax.tree.map(lambda _: jnp.copy(make), params) if per_leaf else make

    like = lambda: jax.tree.map(moments.zeros, params)
    return PriorityBuffer(
        count=jnp.zeros((), jnp.int32),
        size=jnp.zeros((), jnp.int32),
        slot=shared(jnp.zeros((), jnp.int32)),
        keys=shared(jnp.zeros((capacity,), key_dtype(params))),
        ages=shared(jnp.zeros((capacity,), jnp.int32)),
        entries=jax.tree.map(stacked, params),
        total=None if sums == "none" else like(),
        waiting=shared(jnp.array(capacity, jnp.int32)) if waits else None,
        chosen=like() if chosen else None,
    )


def capacity_of(buffer: PriorityBuffer) -> int:
    """Number of slots, in use or not.

    Args:
      buffer: any buffer.

    Returns:
      A Python integer; 0 for a tree without leaves.
    """
    leaves = jax.tree.leaves(buffer.keys)
    return leaves[0].shape[0] if leaves else 0


class _Decision(NamedTuple):
    taken: jax.Array  # by the entry; C if it is refused
    keys: jax.Array
    ages: jax.Array
    slot: jax.Array  # of the next admission


def _decide(
    slot: jax.Array,
    keys: jax.Array,
    ages: jax.Array,
    key: jax.Array,
    size: jax.Array,
    decay: Scalar,
    policy: Policy,
) -> _Decision:
    capacity = keys.shape[0]
    key = key.astype(keys.dtype)
    accept = (size < capacity) | (key > keys[slot]) | (policy == "fifo")
    here = (jnp.arange(capacity, dtype=slot.dtype) == slot) & accept
    keys = jnp.where(here, key, keys) * jnp.asarray(decay, keys.dtype)
    ages = jnp.where(here, jnp.zeros_like(ages), ages + 1)
    following = following_slot(keys, ages, jnp.minimum(size + 1, capacity), policy)
    return _Decision(jnp.where(accept, slot, capacity), keys, ages, following)


def following_slot(
    keys: jax.Array, ages: jax.Array, size: jax.Array, policy: Policy
) -> jax.Array:
    """The slot of the next admission.

    Args:
      keys: priorities (C,).
      ages: steps since the admissions (C,).
      size: number of slots in use.
      policy: as in ``admit``.

    Returns:
      int32 scalar: the first unused slot, or the one that makes room.
    """
    full = jnp.argmax(ages) if policy == "fifo" else jnp.argmin(keys)
    return jnp.where(size == keys.shape[0], full.astype(size.dtype), size)


def offer(
    buffer: PriorityBuffer,
    key: PyTree,
    *,
    decay: Scalar = 1.0,
    policy: Policy = "priority",
) -> PriorityBuffer:
    """The first half of ``admit``: decide about an entry by its key, decay all keys.

    Args:
      buffer: the buffer; no entry waits.
      key: as in ``admit``.
      decay: as in ``admit``.
      policy: as in ``admit``.

    Returns:
      A buffer that the entry is to be given to by ``store``, before the next ``offer``.
    """
    decided = jax.tree.map(
        lambda s, k, a, new: _decide(s, k, a, new, buffer.size, decay, policy),
        buffer.slot,
        buffer.keys,
        buffer.ages,
        key,
    )

    def field(name: str) -> PyTree:
        is_decision = lambda x: isinstance(x, _Decision)
        return jax.tree.map(lambda d: getattr(d, name), decided, is_leaf=is_decision)

    return buffer._replace(
        count=jnp.minimum(buffer.count, jnp.iinfo(jnp.int32).max - 1) + 1,
        size=jnp.minimum(buffer.size + 1, capacity_of(buffer)),
        slot=field("slot"),
        keys=field("keys"),
        ages=field("ages"),
        waiting=field("taken"),
    )


def store(
    buffer: PriorityBuffer,
    entry: Updates,
    *,
    fresh: bool = False,
    behind: Updates | None = None,
    alone: bool = True,
) -> PriorityBuffer:
    """The second half of ``admit``: the entry that waits goes into its slot.

    Args:
      buffer: what ``offer`` gave; or one in which no entry waits, which stays as it is.
      entry: tree like the parameters.
      fresh: as in ``admit``.
      behind: as in ``admit``.
      alone: the entries and the sum that the buffer has are not read elsewhere.

    Returns:
      The buffer, without an entry that waits.

    >>> entry = {"w": jnp.array([1.0])}
    >>> offered = offer(empty(entry, 2, waits=True), jnp.array(2.0))
    >>> stored = store(offered, entry)
    >>> float(offered.total["w"][0]), float(stored.total["w"][0])
    (0.0, 1.0)
    """
    capacity = capacity_of(buffer)
    accept = jax.tree.map(lambda slot: slot < capacity, buffer.waiting)
    # A slot that exists, whether it is written or not.
    slot = jax.tree.map(lambda slot: jnp.minimum(slot, capacity - 1), buffer.waiting)
    entries, total = buffer.entries, buffer.total
    narrow = any(x.dtype.itemsize < 4 for x in jax.tree.leaves(entries))
    if total is None:
        each = spread(slot, entries), spread(accept, entries)
        entries = write(entries, entry, *each)
    else:
        entries, total = exchanged(
            accept, slot, entry, entries, total, behind, alone=alone
        )
        # Always, if fresh; but a condition that XLA knows makes no loop, and every
        # kernel that reads the sum would add all entries up by itself.
        always = fresh and not narrow
        due = buffer.count >= 0 if always else buffer.count % REFRESH == 0
        entries, total = refreshed(due, entries, total)
    nothing = jax.tree.map(lambda slot: jnp.full_like(slot, capacity), buffer.waiting)
    return buffer._replace(entries=entries, total=total, waiting=nothing)


def admit(
    buffer: PriorityBuffer,
    entry: Updates,
    key: PyTree,
    *,
    decay: Scalar = 1.0,
    policy: Policy = "priority",
    rank: Rank | None = None,
    fresh: bool = False,
    behind: Updates | None = None,
) -> PriorityBuffer:
    """Offer an entry, then decay all keys.

    While there is an unused slot, the entry goes there. In a full buffer it takes the
    place of the first entry of lowest key if its own key is strictly higher, and is
    dropped otherwise; or, with ``policy="fifo"``, that of the oldest. Differentiable
    in the entries; which of them stay is piecewise constant.

    Args:
      buffer: the buffer.
      entry: tree like the parameters.
      key: its priority, a scalar; a tree of scalars where every leaf has its own keys.
      decay: factor of all keys afterwards, the new one included.
      policy: ``"priority"`` or ``"fifo"``.
      rank: which entry is kept as ``chosen``; among n, the median is the one at index
        ``n // 2`` in ascending order of the keys.
      fresh: add the entries up again; see ``empty``.
      behind: arrays like the entries that the present sum has gone into, if there are
        such: the new sum is computed after them, in the memory of the old one.

    Returns:
      The new buffer.

    >>> entry = {"w": jnp.array([1.0])}
    >>> one = admit(empty(entry, 1), entry, jnp.array(2.0))
    >>> float(admit(one, {"w": jnp.array([5.0])}, jnp.array(2.0)).total["w"][0])
    1.0
    >>> float(admit(one, {"w": jnp.array([5.0])}, jnp.array(2.1)).total["w"][0])
    5.0
    """
    offered = offer(buffer, key, decay=decay, policy=policy)
    stored = store(offered, entry, fresh=fresh, behind=behind, alone=False)
    return looking_ahead(stored._replace(waiting=buffer.waiting), rank)


def looking_ahead(buffer: PriorityBuffer, rank: Rank | None) -> PriorityBuffer:
    """The same buffer with what the next step needs from its slots.

    Args:
      buffer: the buffer, its slots and their sum up to date.
      rank: as in ``admit``.

    Returns:
      The buffer with ``chosen`` brought up to date.
    """
    if rank is None:
        return buffer
    at = jax.tree.map(lambda k: ranked(k, buffer.size, rank), buffer.keys)
    found = read(buffer.entries, spread(at, buffer.entries))
    chosen = jax.tree.map(lambda x, c: x.astype(c.dtype), found, buffer.chosen)
    return buffer._replace(chosen=chosen)


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

    def found_at(slot: jax.Array, index: jax.Array) -> jax.Array:
        here = index == slot
        return jnp.where(here.any(), jnp.argmax(here), capacity).astype(slot.dtype)

    waiting = buffer.waiting
    if waiting is not None:
        waiting = jax.tree.map(found_at, waiting, indices)
    smaller = buffer._replace(
        size=size,
        slot=jax.tree.map(lambda k, a: following_slot(k, a, size, policy), keys, ages),
        keys=keys,
        ages=ages,
        waiting=waiting,
        entries=entries,
        total=None if buffer.total is None else added_up(entries, buffer.total),
    )
    return looking_ahead(smaller, rank)


def key_dtype(tree: PyTree) -> jnp.dtype:
    """The type of the keys of a tree: float64 if any leaf is, else float32.

    Args:
      tree: gradients.

    Returns:
      The dtype.
    """
    kinds = [trees.magnitude_dtype(x.dtype) for x in jax.tree.leaves(tree)]
    return jnp.dtype(jnp.float64 if jnp.dtype(jnp.float64) in kinds else jnp.float32)
