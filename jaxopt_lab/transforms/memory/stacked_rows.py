"""Reading, writing and adding up the slots of stacked trees."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp

from jaxopt_lab.core.platforms import traced_for
from jaxopt_lab.core.typing import PyTree, Updates
from jaxopt_lab.transforms.memory.ordering import in_order, integer_like, made_after

Rank: TypeAlias = Literal["min", "median", "max"]


def spread(value: PyTree, like: Updates) -> PyTree:
    """One value for every leaf.

    Args:
      value: a tree like ``like``, or an array that stands for all of them.
      like: the tree.

    Returns:
      A tree like ``like``.
    """
    if jax.tree.structure(value) == jax.tree.structure(like):
        return value
    return jax.tree.map(lambda _: value, like)


@functools.partial(jax.jit, static_argnums=0)
def at_most_once(
    step: Callable[[Any, Any], Any], due: jax.Array, given: Any, carried: Any
) -> Any:
    """A loop of no or one turn, because the arrays of a loop are updated in place.

    Args:
      step: ``(given, carried) -> carried``, a function of a module, so that steps that
        are not compiled as a whole compile it once.
      due: boolean scalar, whether it runs.
      given: arrays that it reads.
      carried: arrays that it updates.

    Returns:
      The arrays, updated or as they were.
    """

    def body(carry: tuple[jax.Array, Any]) -> tuple[jax.Array, Any]:
        return jnp.zeros_like(carry[0]), step(given, carry[1])

    return jax.lax.while_loop(lambda carry: carry[0], body, (due, carried))[1]


def read(entries: Updates, slot: PyTree) -> Updates:
    """The entries of one slot.

    Args:
      entries: arrays with a leading axis of slots.
      slot: int32 scalars, a tree like ``entries``.

    Returns:
      The tree without the leading axis.
    """
    return jax.tree.map(
        lambda x, i: jax.lax.dynamic_index_in_dim(x, i, 0, keepdims=False),
        entries,
        slot,
    )


def write(entries: Updates, entry: Updates, slot: PyTree, accept: PyTree) -> Updates:
    """Put an entry into a slot where it is accepted.

    Args:
      entries: arrays with a leading axis of slots.
      entry: tree without that axis, rounded to their dtypes.
      slot: int32 scalars, a tree like ``entries``.
      accept: boolean scalars, a tree like ``entries``.

    Returns:
      The new arrays, written in place where the old ones are donated.
    """

    def one(x: jax.Array, e: jax.Array, i: jax.Array, a: jax.Array) -> jax.Array:
        return (_put_bits_if if _widened(x) else _put_if)(x, e, i, a)

    return jax.tree.map(one, entries, entry, slot, accept)


def put(entries: Updates, entry: Updates, slot: PyTree) -> Updates:
    """Put an entry into a slot.

    Args:
      entries: arrays with a leading axis of slots.
      entry: tree without that axis, rounded to their dtypes.
      slot: int32 scalars, a tree like ``entries``.

    Returns:
      The new arrays, written in place where the old ones are donated.
    """

    def one(x: jax.Array, e: jax.Array, i: jax.Array) -> jax.Array:
        return (_put_bits if _widened(x) else _put)(x, e, i)

    return jax.tree.map(one, entries, entry, slot)


def _widened(x: jax.Array) -> bool:
    """Whether XLA makes a wide copy of all slots to update one of them."""
    return x.dtype.itemsize < 4 and traced_for(x) == "cpu"


def _put(x: jax.Array, row: jax.Array, slot: jax.Array) -> jax.Array:
    return jax.lax.dynamic_update_index_in_dim(x, row.astype(x.dtype), slot, 0)


def _put_if(x: jax.Array, row: jax.Array, slot: jax.Array, a: jax.Array) -> jax.Array:
    where = jnp.where(a, slot, x.shape[0])
    return jnp.asarray(x).at[where].set(row.astype(x.dtype), mode="drop")


def _as_bits(
    form: Callable[..., jax.Array], x: jax.Array, row: jax.Array, *where: jax.Array
) -> jax.Array:
    # That of integers XLA:CPU makes in place. Without derivatives.
    bits = lambda value: jax.lax.bitcast_convert_type(value, integer_like(x))
    new = form(bits(x), bits(row.astype(x.dtype)), *where)
    return jax.lax.bitcast_convert_type(new, x.dtype)


_put_bits = functools.partial(_as_bits, _put)


@jax.custom_batching.custom_vmap
def _put_bits_loop(
    x: jax.Array, row: jax.Array, slot: jax.Array, accept: jax.Array
) -> jax.Array:
    # With a selection of the old row the update would not be made in place.
    return at_most_once(_put_bits_of, accept, (row, slot), x)


def _put_bits_of(given: tuple[jax.Array, jax.Array], x: jax.Array) -> jax.Array:
    return _put_bits(x, *given)


@_put_bits_loop.def_vmap
def _put_several(size: int, batched: Any, *arguments: Any) -> Any:
    # A loop for some of several buffers would select among all slots of all.
    axes = tuple(0 if has else None for has in batched)
    run = functools.partial(_as_bits, _put_if)
    return jax.vmap(run, in_axes=axes, axis_size=size)(*arguments), True


@jax.custom_jvp
def _put_bits_if(
    x: jax.Array, row: jax.Array, slot: jax.Array, accept: jax.Array
) -> jax.Array:
    return _put_bits_loop(x, row, slot, accept)


@_put_bits_if.defjvp
def _put_bits_if_jvp(primals: tuple, tangents: tuple) -> tuple:
    x, row, slot, accept = primals
    run = lambda x, row: _put_if(x, row, slot, accept)
    return jax.jvp(run, (x, row), tuple(tangents[:2]))


def added_up(entries: Updates, like: Updates) -> Updates:
    """The sum over the slots.

    Args:
      entries: arrays with a leading axis of slots.
      like: tree of the dtypes of the sums.

    Returns:
      The tree without the leading axis.
    """

    def one(x: jax.Array, t: jax.Array) -> jax.Array:
        # Neither form of a narrow type makes a wide copy of all slots on a CPU; with
        # the other's they would.
        if x.dtype == jnp.bfloat16:
            return jnp.sum(x, axis=0, dtype=t.dtype)
        if x.dtype.itemsize < 4:
            add = lambda i, s: s + read(x, i).astype(t.dtype)
            return jax.lax.fori_loop(0, x.shape[0], add, jnp.zeros_like(t))
        # Written out: XLA:CPU is sixteen times slower at reducing a leading axis.
        parts = (x[i].astype(t.dtype) for i in range(x.shape[0]))
        return functools.reduce(jnp.add, parts)

    return jax.tree.map(one, entries, like)


def exchanged(
    accept: PyTree,
    slot: PyTree,
    entry: Updates,
    entries: Updates,
    total: Updates,
    behind: Updates | None = None,
    *,
    alone: bool = False,
) -> tuple[Updates, Updates]:
    """An entry instead of an old one where it is accepted, and the new sum.

    Args:
      accept: boolean scalar, or a tree of them like ``entries``.
      slot: int32 scalar, or such a tree.
      entry: like ``entries`` without their leading axis, rounded to their dtypes here.
      entries: arrays with a leading axis of slots.
      total: their sum.
      behind: arrays that the old sum has gone into, a tree like it, or ``None``.
      alone: nothing but this reads the old entries and the old sum.

    Returns:
      The new entries, written in place where the old ones are donated, and their sum.
      On a TPU, and on a CPU if ``alone``, nothing is read or written where the entry
      is not accepted.
    """
    arrays = (entry, entries, total, behind)
    if jax.tree.structure(accept) != jax.tree.structure(entries):
        return _exchanged(alone, accept, slot, *arrays)
    leaves, structure = jax.tree.flatten(entries)
    flat = (accept, slot, *arrays)
    rows = [[None] * len(leaves) if x is None else jax.tree.leaves(x) for x in flat]
    pairs = [_exchanged(alone, *one) for one in zip(*rows, strict=True)]
    new, sums = zip(*pairs, strict=True) if pairs else ((), ())
    return jax.tree.unflatten(structure, new), jax.tree.unflatten(structure, sums)


def _new_sums(entry: Any, old: Any, total: Any) -> Any:
    def one(e: jax.Array, o: jax.Array, t: jax.Array) -> jax.Array:
        if o.dtype == jnp.bfloat16:
            # XLA takes a conversion there and back for nothing; this it does not.
            stored = jax.lax.reduce_precision(e.astype(t.dtype), 8, 7)
        else:
            stored = e.astype(o.dtype).astype(t.dtype)
        return t + (stored - o.astype(t.dtype))

    return jax.tree.map(one, entry, old, total)


def _by_selection(
    accept: jax.Array,
    slot: jax.Array,
    entry: Any,
    entries: Any,
    total: Any,
    behind: Any,
) -> tuple[Any, Any]:
    at, taken = spread(slot, entries), spread(accept, entries)
    at = at if behind is None else in_order(at, behind)
    new = _new_sums(entry, read(entries, at), total)
    total = jax.tree.map(jnp.where, taken, new, total)
    at = in_order(at, total)
    return write(entries, made_after(entry, total), at, taken), total


@jax.custom_batching.custom_vmap
def _by_loop(
    accept: jax.Array,
    slot: jax.Array,
    entry: Any,
    entries: Any,
    total: Any,
    behind: Any,
) -> tuple[Any, Any]:
    for before in jax.tree.leaves(behind):
        slot = in_order(slot, before)
    # A selection reads the old entry twice, the second time to write it back.
    return at_most_once(_exchange, accept, (slot, entry), (entries, total))


def _exchange(given: tuple[jax.Array, Any], carried: tuple[Any, Any]) -> Any:
    (slot, entry), (entries, total) = given, carried
    at = spread(slot, entries)
    total = _new_sums(entry, read(entries, at), total)
    return put(entries, made_after(entry, total), in_order(at, total)), total


@_by_loop.def_vmap
def _of_several(size: int, batched: Any, *arguments: Any) -> Any:
    # A loop for some of several buffers would select among all slots of all.
    axes = tuple(jax.tree.map(lambda has: 0 if has else None, x) for x in batched)
    found = jax.vmap(_by_selection, in_axes=axes, axis_size=size)(*arguments)
    return found, jax.tree.map(lambda _: True, found)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _exchanged(
    alone: bool,
    accept: jax.Array,
    slot: jax.Array,
    entry: Any,
    entries: Any,
    total: Any,
    behind: Any,
) -> tuple[Any, Any]:
    # Where several operations of a CPU read the old sum, the loop would get a copy of
    # it, not being known to follow all of them; that of a GPU waits for the host.
    platform = traced_for(entries)
    loops = platform == "tpu" or (alone and platform == "cpu")
    form = _by_loop if loops else _by_selection
    return form(accept, slot, entry, entries, total, behind)


@_exchanged.defjvp
def _exchanged_jvp(alone: bool, primals: tuple, tangents: tuple) -> tuple:
    accept, slot, entry, entries, total, behind = primals

    def run(entry: Any, entries: Any, total: Any) -> tuple[Any, Any]:
        return _by_selection(accept, slot, entry, entries, total, behind)

    return jax.jvp(run, (entry, entries, total), tuple(tangents[2:5]))


@jax.custom_jvp
def refreshed(
    due: jax.Array, entries: Updates, total: Updates
) -> tuple[Updates, Updates]:
    """Replace a running sum by a fresh one, now and then.

    Args:
      due: boolean scalar.
      entries: arrays with a leading axis of slots.
      total: their sum, up to rounding.

    Returns:
      The same entries, and their sum. The derivative is that of the given sum, which
      is the same function of everything before.
    """

    # A `cond` would copy the sum at every step, and under `vmap` it would add up at
    # every step.
    return at_most_once(_refresh, due, (), (entries, total))


def _refresh(_: tuple[()], carried: tuple[Any, Any]) -> Any:
    entries, total = carried
    return entries, added_up(entries, total)


@refreshed.defjvp
def _refreshed_jvp(primals: tuple, tangents: tuple) -> tuple:
    # The reverse pass of a scan forgets custom rules below the first derivative, and
    # there the loop could not be transposed. A `cond` can, at any order.
    due, entries, total = primals
    total = jax.lax.cond(due, added_up, lambda _, total: total, entries, total)
    return (entries, total), tuple(tangents[1:])


def ranked(keys: jax.Array, size: jax.Array, rank: Rank) -> jax.Array:
    """The slot whose key has a rank among those in use.

    Args:
      keys: float array (C,).
      size: int32 scalar, number of slots in use, at least 1.
      rank: ``"min"``, ``"median"`` (index ``size // 2`` in ascending order) or
        ``"max"``.

    Returns:
      int32 scalar.
    """
    used = jnp.arange(keys.shape[0], dtype=size.dtype) < size
    order = jnp.argsort(jnp.where(used, keys, jnp.inf)).astype(size.dtype)
    return order[{"min": 0 * size, "median": size // 2, "max": size - 1}[rank]]
