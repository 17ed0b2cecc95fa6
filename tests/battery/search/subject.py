"""A row of a search, on a space whose optimum is planted."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from battery.parts.host import HostSubject
from jaxopt_lab.search import Choice, Integers, Interval
from jaxopt_lab.search.space import candidate_at

SEEDS = 7


@functools.cache
def keys(count: int) -> list[Any]:
    """Keys, made once for all rows."""
    bits = np.random.default_rng(7).integers(0, 2**32, (count, 2), np.uint32)
    return [jax.random.wrap_key_data(row) for row in bits]


class SearchSubject(HostSubject):
    """A search on the space of the row's example.

    The example says ``space``, ``optimum``, a candidate of it, and ``budget``.
    """

    kind = "search"
    first = "random_search"

    @property
    def space(self) -> Mapping[str, Any]:
        """The space."""
        return self.inputs["space"]

    def search(self, space: Any = None) -> Any:
        """The search on a space; the example's by default."""
        return self.make(self.space if space is None else space)

    def score(self, candidate: Mapping[str, Any]) -> float:
        """Minus the distance from the optimum, each dimension from 0 to 1."""
        total = 0.0
        for name, dimension in self.space.items():
            a, b = candidate[name], self.inputs["optimum"][name]
            if isinstance(dimension, Choice):
                total += a != b
            elif isinstance(dimension, Interval) and dimension.log:
                total += abs(math.log(a / b)) / math.log(dimension.high / dimension.low)
            else:
                total += abs(a - b) / max(dimension.high - dimension.low, 1)
        return -total

    @functools.cached_property
    def runs(self) -> list[dict[str, Any]]:
        """The last states of a run for each of a few seeds."""
        search, budget = self.search(), self.inputs["budget"]
        every, states = keys(SEEDS * budget), []
        for seed in range(SEEDS):
            state = search.init()
            for key in every[seed * budget : (seed + 1) * budget]:
                candidate = search.ask(state, key)
                state = search.tell(state, candidate, self.score(candidate))
            states.append(state)
        return states

    @functools.cached_property
    def random_scores(self) -> list[float]:
        """The best scores of plain random search in NumPy, of as many candidates."""
        rng, best = np.random.default_rng(0), []
        for _ in range(SEEDS):
            draws = rng.random((self.inputs["budget"], len(self.space)))
            best.append(max(self.score(candidate_at(self.space, u)) for u in draws))
        return best

    def point(self) -> dict[str, Any]:
        """The space of the optimum alone."""

        def only(name: str, dimension: Any) -> Any:
            value = self.inputs["optimum"][name]
            if isinstance(dimension, Choice):
                return Choice((value,))
            if isinstance(dimension, Integers):
                return Integers(value, value)
            return dimension._replace(low=value, high=value)

        return {name: only(name, d) for name, d in self.space.items()}
