"""Spaces of candidates: intervals, whole numbers and choices by name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jaxopt_lab.core.errors import InputError
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
        return isinstance(number, float) and self.low <= number <= self.high


class Integers(NamedTuple):
    """Whole numbers from ``low`` to ``high``, both included."""

    low: int
    high: int

    def at(self, u: float) -> int:
        """The number at a fraction ``u`` of the range, in [0, 1]."""
        return min(self.low + int((self.high - self.low + 1) * u), self.high)

    def __contains__(self, value: Any) -> bool:
        return is_whole(value) and self.low <= value <= self.high


class Choice(NamedTuple):
    """One of several values, such as names."""

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
            bad = not isinstance(dimension.values, Sequence) or not dimension.values
        elif isinstance(dimension, Interval | Integers):
            low, high = dimension.low, dimension.high
            bad = not (math.isfinite(low) and math.isfinite(high) and low <= high)
            bad |= isinstance(dimension, Interval) and dimension.log and low <= 0
        else:
            bad = True
        if bad:
            raise InputError(
                f"space[{name!r}] must be an Interval, Integers or Choice with at "
                f"least one value, above 0 where log; got {dimension!r}"
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
