"""How many steps each level of a nested loop takes, so that least is stored."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import NamedTuple

from jaxopt_lab.core import checks as arguments


class Radices(NamedTuple):
    """A number of steps as nested loops and a few steps before them.

    Attributes:
      radices: lengths of the nested loops, outermost first, in ascending order.
      rest: steps that come first, because the number is no product.
    """

    radices: tuple[int, ...]
    rest: int

    @property
    def steps(self) -> int:
        """The number itself, ``prod(radices) + rest``."""
        return math.prod(self.radices) + self.rest

    @property
    def carries(self) -> int:
        """Carries that a reverse pass stores at once, ``sum(radices) + rest``."""
        return sum(self.radices) + self.rest


@functools.lru_cache(maxsize=1024)
def radices(n: int, levels: int) -> Radices:
    """The nested loops of at most ``levels`` levels that store the fewest carries.

    Minimises ``sum(radices) + rest`` subject to ``prod(radices) + rest = n``; among
    equals the one with fewer levels, then with the smaller rest, then with the
    longest loops innermost.

    Args:
      n: number of steps, at least 1.
      levels: largest number of nested loops, at least 1.

    Returns:
      The radices and the rest.

    Raises:
      InputError: either is no whole number of at least 1.

    >>> radices(1000, 2)
    Radices(radices=(25, 40), rest=0)
    >>> radices(997, 3)
    Radices(radices=(9, 10, 11), rest=7)
    """
    arguments.check_positive_count("n", n)
    arguments.check_positive_count("levels", levels)
    best = Radices((n,), 0)
    for count in range(2, levels + 1):
        if 2**count > n:
            break
        found = min(_near_roots(n, count), key=_cost)
        if found.carries < best.carries:
            best = found
    return best


def _cost(found: Radices) -> tuple[int, int, tuple[int, ...]]:
    return found.carries, found.rest, found.radices


def _near_roots(n: int, count: int) -> Iterator[Radices]:
    """Ascending radices, all but the last one near to the root that they aim at.

    The last one is as large as it can be: every step that it takes more is one that
    is not in the rest. From a quarter of the root on: the same as a search of all
    factors for every number up to 1500 and up to four levels.
    """

    def grow(chosen: tuple[int, ...], product: int) -> Iterator[Radices]:
        left, room = count - len(chosen), n // product
        if left == 1:
            yield Radices((*chosen, room), n - product * room)
            return
        root = room ** (1 / left)
        lowest = max(2, chosen[-1] if chosen else 2, math.floor(root / 4))
        for factor in range(lowest, math.ceil(root) + 1):
            if factor**left <= room:
                yield from grow((*chosen, factor), product * factor)

    return grow((), 1)
