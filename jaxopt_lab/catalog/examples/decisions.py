"""Tiny inputs of controllers and searches."""

from __future__ import annotations

from typing import Any


def gradient_statistics() -> dict[str, Any]:
    """Statistics of five steps, the noise growing, and the bounds of the decision.

    >>> len(gradient_statistics()["stats"])
    5
    """
    noise = (0.5, 4.0, 9.0, 30.0, 2000.0)
    return {
        "stats": [{"variance": v, "grad_norm_sq": 0.25 + 0.1 * v} for v in noise],
        "low": {"accumulation": 2},
        "high": {"accumulation": 16},
        "eta": 0.5,
        "micro_batch": 4,
        "start_batch": 8,
        "max_batch": 64,
    }


def small_space() -> dict[str, Any]:
    """A space of a real, a whole number and a name, and where its optimum is planted.

    >>> sorted(small_space()["optimum"])
    ['count', 'name', 'rate']
    """
    from jaxopt_lab.search import Choice, Integers, Interval

    return {
        "space": {
            "rate": Interval(1e-3, 1.0, log=True),
            "count": Integers(1, 4),
            "name": Choice(("left", "right")),
        },
        "optimum": {"rate": 0.03, "count": 3, "name": "right"},
        "budget": 64,
    }
