"""Checkpoint schedule: loop lengths that minimise the stored carries."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import NamedTuple

from jaxopt_lab.core import checks as arguments


class NestedLengths(NamedTuple):
    """A number of steps as nested loops and a few steps before them.

    Attributes:
      lengths: lengths of the nested loops, outermost first, in ascending order.
      rest: steps that come first, because the number is no product.
    """

    lengths: tuple[int, ...]
    rest: int

    @property
    def steps(self) -> int:
        """The number itself, ``prod(lengths) + rest``."""
        return math.prod(self.lengths) + self.rest

    @property
    def carries(self) -> int:
        """Carries that a reverse pass stores at once, ``sum(lengths) + rest``."""
        return sum(self.lengths) + self.rest


@functools.lru_cache(maxsize=1024)
def checkpoint_schedule(n: int, levels: int) -> NestedLengths:
    """The nested loops of at most ``levels`` levels that store the fewest carries.

    Minimises ``sum(lengths) + rest`` subject to ``prod(lengths) + rest = n``; among
    equals the one with fewer levels, then with the smaller rest, then with the
    longest loops innermost.

    Args:
      n: number of steps, at least 1.
      levels: largest number of nested loops, at least 1.

    Returns:
      The lengths and the rest.

    Raises:
      InputError: either is no whole number of at least 1.

    >>> checkpoint_schedule(1000, 2)
    NestedLengths(lengths=(25, 40), rest=0)
    >>> checkpoint_schedule(997, 3)
    NestedLengths(lengths=(9, 10, 11), rest=7)
    """
    arguments.check_positive_count("n", n)
    arguments.check_positive_count("levels", levels)
    best = NestedLengths((n,), 0)
    for count in range(2, levels + 1):
        if 2**count > n:
            break
        found = min(_near_roots(n, count), key=_cost)
        if found.carries < best.carries:
            best = found
    return best


def _cost(found: NestedLengths) -> tuple[int, int, tuple[int, ...]]:
    return found.carries, found.rest, found.lengths


def _near_roots(n: int, count: int) -> Iterator[NestedLengths]:
    """Ascending lengths; all but the last are near the root of the remaining product.

    The last length is as large as possible, since each of its steps shortens the rest.
    Starting at a quarter of the root gives the result of an exhaustive search for every
    number up to 1500 and up to four levels.
    """

    def grow(chosen: tuple[int, ...], product: int) -> Iterator[NestedLengths]:
        left, room = count - len(chosen), n // product
        if left == 1:
            yield NestedLengths((*chosen, room), n - product * room)
            return
        root = room ** (1 / left)
        lowest = max(2, chosen[-1] if chosen else 2, math.floor(root / 4))
        for factor in range(lowest, math.ceil(root) + 1):
            if factor**left <= room:
                yield from grow((*chosen, factor), product * factor)

    return grow((), 1)
