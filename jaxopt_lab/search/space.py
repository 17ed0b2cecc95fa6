"""Spaces of candidates: intervals, whole numbers and choices by name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jaxopt_lab.core.errors import InputError, unknown
from jaxopt_lab.core.numbers import is_whole, known_number


class Interval(NamedTuple):
    """Real numbers in ``[low, high]``.

    Attributes:
      low: the smallest.
      high: the largest.
      log: uniform in the logarithm; then ``low`` must be above 0.
    """

    low: float
    high: float
    log: bool = False

    def at(self, u: float) -> float:
        """The value at a fraction ``u`` of the interval, in [0, 1]."""
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            value = math.exp(low + (high - low) * u)
        else:
            value = self.low + (self.high - self.low) * u
        return min(max(value, self.low), self.high)

    def __contains__(self, value: Any) -> bool:
        number = known_number(value)
        if number is None or isinstance(number, bool):
            return False
        return self.low <= number <= self.high


class Integers(NamedTuple):
    """Whole numbers from ``low`` to ``high``, both included.

    Attributes:
      low: the least.
      high: the largest.
    """

    low: int
    high: int

    def at(self, u: float) -> int:
        """The number at a fraction ``u`` of the range, in [0, 1]."""
        return min(self.low + int((self.high - self.low + 1) * u), self.high)

    def __contains__(self, value: Any) -> bool:
        return is_whole(value) and self.low <= value <= self.high


class Choice(NamedTuple):
    """One of several values, such as names.

    Attributes:
      values: all of them.
    """

    values: tuple[Any, ...]

    def at(self, u: float) -> Any:
        """The value at a fraction ``u`` of the list, in [0, 1]."""
        return self.values[min(int(len(self.values) * u), len(self.values) - 1)]

    def __contains__(self, value: Any) -> bool:
        return value in self.values


Dimension = Interval | Integers | Choice
Space = Mapping[str, Dimension]


def check_space(space: Space) -> None:
    """Refuse a space that has no candidate.

    Args:
      space: dimensions by name.

    Raises:
      InputError: it is empty, or a dimension is.
    """
    if not space:
        raise InputError("space must name at least one dimension; got none")
    for name, dimension in space.items():
        if isinstance(dimension, Choice):
            values = dimension.values
            # The letters of a name are hardly meant.
            bad = not isinstance(values, Sequence) or isinstance(values, str)
            bad = bad or not values
        elif isinstance(dimension, Interval | Integers):
            low, high = dimension.low, dimension.high
            bad = not (math.isfinite(low) and math.isfinite(high) and low <= high)
            if isinstance(dimension, Integers):
                bad |= not (is_whole(low) and is_whole(high))
            else:
                bad |= dimension.log and low <= 0
        else:
            bad = True
        if bad:
            raise InputError(
                f"space[{name!r}] must be an Interval, Integers or Choice with at "
                f"least one value, above 0 where log; got {dimension!r}"
            )


def check_candidate(space: Space, candidate: Mapping[str, Any]) -> None:
    """Refuse a candidate that is not of a space.

    Args:
      space: dimensions by name.
      candidate: values by name.

    Raises:
      InputError: a name is missing or unknown, or a value is outside.

    >>> check_candidate({"depth": Integers(1, 4)}, {"depth": 5})
    Traceback (most recent call last):
      ...
    jaxopt_lab.core.errors.InputError: candidate['depth'] must be one of \
Integers(low=1, high=4); got 5
    """
    for name in candidate:
        if name not in space:
            raise unknown("dimension", name, space)
    for name, dimension in space.items():
        if name not in candidate:
            raise InputError(
                f"a candidate needs a value of {name!r}; got {', '.join(candidate)}"
            )
        if candidate[name] not in dimension:
            raise InputError(
                f"candidate[{name!r}] must be one of {dimension}; got "
                f"{candidate[name]!r}"
            )


def candidate_at(space: Space, fractions: Sequence[float]) -> dict[str, Any]:
    """The candidate at fractions of every dimension.

    Args:
      space: dimensions by name.
      fractions: numbers in [0, 1], one for each dimension, in order.

    Returns:
      Values by name.

    >>> space = {"rate": Interval(0.01, 1.0, log=True), "depth": Integers(1, 4)}
    >>> {name: round(x, 6) for name, x in candidate_at(space, [0.5, 0.5]).items()}
    {'rate': 0.1, 'depth': 3}
    """
    pairs = zip(space.items(), fractions, strict=True)
    return {name: dimension.at(float(u)) for (name, dimension), u in pairs}


def fraction_of(dimension: Dimension, value: Any) -> float:
    """The fraction of a dimension that belongs to a value.

    Args:
      dimension: the dimension.
      value: one of its values.

    Returns:
      A number in [0, 1]: ``dimension.at`` of it is the value again, an interval's up to
      rounding.

    >>> fraction_of(Integers(1, 4), 3), fraction_of(Interval(0.01, 1.0, log=True), 0.1)
    (0.625, 0.5)
    """
    if isinstance(dimension, Choice):
        return (dimension.values.index(value) + 0.5) / len(dimension.values)
    low, high = dimension.low, dimension.high
    if isinstance(dimension, Integers):
        return (value - low + 0.5) / (high - low + 1)
    if low == high:
        return 0.5
    if dimension.log:
        low, high, value = math.log(low), math.log(high), math.log(value)
    return min(max((value - low) / (high - low), 0.0), 1.0)


def encode(space: Space, candidate: Mapping[str, Any]) -> list[float]:
    """A candidate as numbers, for predictors.

    Args:
      space: dimensions by name.
      candidate: values by name.

    Returns:
      A fraction for a number, and for a choice one number for each of its values, of
      which one is the root of 1/2: two values are 1 apart.

    >>> encode({"depth": Integers(1, 2), "name": Choice(("a", "b"))},
    ...        {"depth": 2, "name": "a"})
    [0.75, 0.7071067811865476, 0.0]
    """
    found: list[float] = []
    for name, dimension in space.items():
        value = candidate[name]
        if isinstance(dimension, Choice):
            place = dimension.values.index(value)
            size = math.sqrt(0.5)
            found += [size * (i == place) for i in range(len(dimension.values))]
        else:
            found.append(fraction_of(dimension, value))
    return found
