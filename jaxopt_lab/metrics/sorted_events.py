"""Events in the order of their probabilities: parts of them, sums over windows."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

Parts = Literal["clusters", "bins", "events"]
At = Callable[[jax.Array], jax.Array]
_ROUNDS, _UNROLLED, _RADIX = 10, 32, 4
# One bit of a word for each event of a block.
BLOCK = 32


def with_zero(x: jax.Array) -> jax.Array:
    """A zero before the first entry, as of sums over the entries before each.

    Args:
      x: ``(n, ...)``.

    Returns:
      ``(n + 1, ...)``.

    >>> with_zero(jnp.array([1, 3])).tolist()
    [0, 1, 3]
    """
    return jnp.concatenate([jnp.zeros_like(x[:1]), x])


def window_sums(x: jax.Array, reach: int) -> jax.Array:
    """Sums of the ``2 * reach + 1`` entries around each, zeros beyond the ends.

    Sums of 1, 4, 16, ... entries, of which a window takes some: a logarithm of its
    width in passes, and nothing cancels.

    Args:
      x: ``(n,)``.
      reach: entries on each side.

    Returns:
      ``(n,)``.

    >>> window_sums(jnp.array([1, 2, 4, 8]), 1).tolist()
    [3, 7, 14, 12]
    """
    width, size = 2 * reach + 1, x.size
    sums, length, taken = jnp.pad(x, reach), 1, 0
    total = jnp.zeros_like(x)
    while True:
        for _ in range(width // length % _RADIX):
            total = total + jax.lax.slice_in_dim(sums, taken, taken + size)
            taken += length
        if taken == width:
            return total
        rest = sums.size - (_RADIX - 1) * length
        shifted = (
            jax.lax.slice_in_dim(sums, k * length, k * length + rest)
            for k in range(1, _RADIX)
        )
        sums = sum(shifted, start=sums[:rest])
        length *= _RADIX


class OwnEvents(NamedTuple):
    """The events of each class in blocks of sorted events.

    Attributes:
      words: ``(blocks, classes)`` uint32, a bit for each event of the class.
      counts: ``(blocks + 1, classes)`` int32, events of the class before the block.
      sums: likewise, of their probabilities.
    """

    words: jax.Array
    counts: jax.Array
    sums: jax.Array


def own_events(label: jax.Array, p: jax.Array, classes: int) -> OwnEvents:
    """The events of each class, from which ranks without a class follow by counting.

    Args:
      label: ``(n,)`` int32, the class to which each sorted event belongs.
      p: ``(n,)``, their probabilities.
      classes: number of classes.

    Returns:
      Tables of ``n * classes / 32`` entries.
    """
    blocks = -(-p.size // BLOCK)
    place = jnp.arange(p.size, dtype=jnp.int32)
    bit = jnp.left_shift(jnp.uint32(1), (place % BLOCK).astype(jnp.uint32))
    at = place // BLOCK, label
    words = jnp.zeros((blocks, classes), jnp.uint32).at[at].add(bit)
    sums = jnp.zeros((blocks, classes), p.dtype).at[at].add(p)
    counts = jax.lax.population_count(words).astype(jnp.int32)
    # One at a time, all classes side by side.
    _, table = jax.lax.scan(
        lambda total, new: (jax.tree.map(jnp.add, total, new), total),
        (jnp.zeros(classes, jnp.int32), jnp.zeros(classes, p.dtype)),
        (counts, sums),
    )
    last = counts[-1:] + table[0][-1:], sums[-1:] + table[1][-1:]
    ends = (jnp.concatenate(pair) for pair in zip(table, last, strict=True))
    return OwnEvents(words, *ends)


def part_cuts(
    p: jax.Array, counts: At, sums: At, parts: Parts, count: int
) -> jax.Array:
    """Places in sorted probabilities at which their parts end.

    Args:
      p: ``(n,)``, rising.
      counts: ``counts(places)``, number or weight of the events before each of
        ``(k,)`` places from 0 to n.
      sums: ``sums(places)``, likewise of their probabilities.
      parts: ``"clusters"`` of k-means that begins at quantiles, ``"bins"`` of equal
        width, ``"events"`` for one part.
      count: number of clusters or bins.

    Returns:
      ``(count + 1,)`` int32, the first of them 0 and the last n.

    >>> p = jnp.array([0.1, 0.2, 0.8, 0.9])
    >>> sums = with_zero(jnp.cumsum(p))
    >>> part_cuts(p, lambda i: i, lambda i: sums[i], "clusters", 2).tolist()
    [0, 2, 4]
    """
    first, last = jnp.zeros(1, jnp.int32), jnp.full(1, p.size, jnp.int32)
    if parts == "events":
        return jnp.concatenate([first, last])

    def cut(at: jax.Array) -> jax.Array:
        inner = jnp.searchsorted(p, at, side="right").astype(jnp.int32)
        return jnp.concatenate([first, inner, last])

    if parts == "bins":
        return cut(jnp.arange(1, count, dtype=p.dtype) / count)
    every = counts(last)
    shares = (jnp.arange(count, dtype=p.dtype) + 0.5) / count
    # Rounded down where events are counted: the one after so many of them.
    ranks = (shares * every.astype(p.dtype)).astype(every.dtype)

    def halve(_: int, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, ...]:
        low, high = ends
        middle = (low + high) // 2
        below = counts(middle + 1) <= ranks
        return jnp.where(below, middle + 1, low), jnp.where(below, high, middle)

    ends = jnp.zeros(count, jnp.int32), jnp.full(count, p.size - 1, jnp.int32)
    start = p[jax.lax.fori_loop(0, p.size.bit_length(), halve, ends)[0]]

    def middle(centres: jax.Array) -> jax.Array:
        return cut((centres[1:] + centres[:-1]) / 2)

    def moved(centres: jax.Array, _: None) -> tuple[jax.Array, None]:
        cuts = middle(centres)
        sizes = jnp.diff(counts(cuts)).astype(p.dtype)
        filled = sizes > 0
        means = jnp.diff(sums(cuts)) / jnp.where(filled, sizes, 1)
        return jnp.where(filled, means, centres), None

    return middle(jax.lax.scan(moved, start, length=_ROUNDS)[0])


def part_shares(ends: jax.Array, size: int, dtype: jnp.dtype) -> jax.Array:
    """Weights of sorted events that give the mean over parts of the means in them.

    Args:
      ends: ``(parts + 1,)``, ranks at which the parts end, from 0 to the number of
        events.
      size: length of the result, zeros behind the last event.
      dtype: its type.

    Returns:
      ``(size,)``.

    >>> part_shares(jnp.array([0, 1, 1, 3]), 4, jnp.float32).tolist()
    [0.5, 0.25, 0.25, 0.0]
    """
    sizes = jnp.diff(ends)
    filled = jnp.maximum(jnp.sum((sizes > 0).astype(dtype)), 1)
    each = jnp.pad(1 / (jnp.maximum(sizes, 1).astype(dtype) * filled), (0, 1))
    ranks = jnp.arange(size, dtype=ends.dtype)
    if sizes.size > _UNROLLED:
        return each[jnp.searchsorted(ends[1:], ranks, side="right")]
    share = jnp.full(size, each[0])
    for k in range(1, sizes.size + 1):
        share = jnp.where(ranks >= ends[k], each[k], share)
    return share
