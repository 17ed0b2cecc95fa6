"""A sound controller, small enough to be broken in one place."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from jaxopt_lab.catalog.schema import Controller, Neutral
from jaxopt_lab.controllers import Controller as Part
from jaxopt_lab.core.errors import InputError


def still() -> Part:
    """The first decision for ever."""
    return Part(dict, lambda stats, state: ({"steps": 1}, state))


def doubling(limit: float = 1.0, most: int = 8) -> Part:
    """Twice as many steps wherever the noise is above a limit.

    Args:
      limit: the limit.
      most: steps at most.

    Returns:
      The controller.

    >>> doubling().decide({"noise": 2.0}, {"steps": 1})
    ({'steps': 2}, {'steps': 2})
    """

    def decide(stats: Any, state: Any) -> Any:
        if "noise" not in stats:
            raise InputError("doubling reads stats['noise']")
        grow = stats["noise"] > limit
        steps = min(most, state["steps"] * 2) if grow else state["steps"]
        return {"steps": steps}, {"steps": steps}

    return Part(lambda: {"steps": 1}, decide)


def example() -> dict[str, Any]:
    """Four steps."""
    stats = [{"noise": noise} for noise in (0.5, 2.0, 0.1, 5.0)]
    return {"stats": stats, "low": {"steps": 1}, "high": {"steps": 8}, "limit": 0.7}


TOY = Controller(
    name="doubling",
    summary="the toy",
    build=doubling,
    reduces_to=Neutral({"limit": float("inf")}, still),  # type: ignore[arg-type]
    options=("limit", "most"),
    example=example,
    reads=("noise",),
    decides="steps",
)
TOYS = (TOY,)

Change = Callable[[Any, Any, Any, dict[str, Any]], Any]


def with_decide(change: Change, **header: Any) -> Controller:
    """The toy whose results go through ``change(results, stats, state, options)``."""

    def broken(limit: float = 1.0, most: int = 8) -> Part:
        sound = doubling(limit, most)
        options = {"limit": limit, "most": most}

        def decide(stats: Any, state: Any) -> Any:
            return change(sound.decide(stats, state), stats, state, options)

        return Part(sound.init, decide)

    broken.__doc__ = doubling.__doc__
    return dataclasses.replace(TOY, name="broken", build=broken, **header)
