"""A sound diagnostic, small enough to be broken in one place."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from battery.diagnostic.cases import Case
from jaxopt_lab.catalog.schema import Diagnostic, Neutral


class Measured(NamedTuple):
    """A value and its error."""

    value: Any
    error: Any


def mean(x: Any) -> Measured:
    """Mean of numbers with its standard error.

    Args:
      x: the numbers.

    Returns:
      The mean.

    >>> float(mean(np.ones(2)).value)
    1.0
    """
    return Measured(np.mean(x), np.std(x, ddof=1) / np.sqrt(len(x)))


CASE = Case(
    measure=lambda build, samples, seed: build(
        3 + np.random.default_rng(seed).normal(size=samples)
    ),
    truth=lambda value: 3.0,
    errors=4.0,
    few=20,
    many=200,
    degenerate=lambda build: {"zero": (build(np.zeros(4)), 0.0)},
    poisoned=lambda build: build(np.array([1.0, np.nan])),
    neutral=lambda build: (build(np.full(4, 0.7)).value, ([0.7] * 4,)),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Toy(Diagnostic):
    """A row that brings its own case."""

    case: Case = CASE


def example() -> dict[str, Any]:
    """Two numbers."""
    return {"x": np.ones(2)}


TOY = Toy(
    name="mean",
    summary="the toy",
    build=mean,
    reduces_to=Neutral({}, np.max, note="of equal numbers"),
    example=example,
    cost="none",
    error="standard error",
)
TOYS = (TOY,)


def changed(change: Callable[[Measured, Any], Any], **header: Any) -> Diagnostic:
    """The toy whose result goes through ``change(measured, x)``."""

    def build(x: Any) -> Any:
        return change(mean(x), x)

    build.__doc__ = mean.__doc__
    return dataclasses.replace(TOY, name="broken", build=build, **header)
