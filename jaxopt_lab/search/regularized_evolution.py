"""Regularized evolution: tournaments, one change a child, the oldest dies."""

from __future__ import annotations

import math
from functools import partial
from typing import Annotated

import jax
import numpy as np

from jaxopt_lab.core.checks import as_number
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.search.driver import (
    Candidate,
    Search,
    State,
    fresh,
    over_space,
    with_best,
)
from jaxopt_lab.search.space import Space, candidate_at, check_space


@partial(jax.jit, static_argnums=1)
def _fractions(key: jax.Array, count: int) -> jax.Array:
    return jax.random.uniform(key, (count,))


def regularized_evolution(
    space: Space,
    *,
    population: Annotated[int, COUNT] = 20,
    tournament: Annotated[int, COUNT] = 5,
) -> Search:
    r"""Evolve a population in which the oldest member dies, not the worst.

    The first ``population`` candidates are random. Each further one is a child: of
    ``tournament`` members, drawn with replacement, the best is the parent, of which one
    dimension is drawn again. The child joins the population and the oldest member
    leaves it, so that a score that was lucky once does not stay.

    Args:
      space: ``Interval``, ``Integers`` or ``Choice`` by name.
      population: members, above which the oldest dies.
      tournament: members that are compared to find a parent; 1 is a random walk, many
        are greedy.

    Returns:
      A search. Its state keeps the members in the order of their age; a NaN is the
      worst score.

    Raises:
      InputError: the space or one of its dimensions is empty, or an argument is out of
        range.

    >>> from jaxopt_lab.search import Interval, run
    >>> space = {name: Interval(-1.0, 1.0) for name in "abcd"}
    >>> score = lambda c: -sum(x * x for x in c.values())
    >>> found = run(regularized_evolution(space), score, jax.random.key(0), 100)
    >>> found["told"], bool(found["score"] > -0.3)
    (100, True)

    Cost: a tournament a candidate; the state keeps ``population`` of them.

    Source: Real et al., "Regularized Evolution for Image Classifier Architecture
    Search", 2019 (https://arxiv.org/abs/1802.01548).
    """
    check_space(space)
    sizes = {"population": population, "tournament": tournament}
    check_arguments(regularized_evolution, sizes)
    names = list(space)

    def init() -> State:
        return {**fresh(), "members": []}

    def ask(state: State, key: jax.Array) -> Candidate:
        members = state["members"]
        count = len(names) if len(members) < population else tournament + 2
        drawn = np.asarray(_fractions(key, count)).tolist()
        if len(members) < population:
            return candidate_at(space, drawn)
        *places, which, value = drawn
        chosen = [members[_index(u, len(members))] for u in places]
        parent = max(chosen, key=lambda member: _worst_if_nan(member["score"]))
        changed = names[_index(which, len(names))]
        return {**parent["candidate"], changed: space[changed].at(value)}

    def tell(state: State, candidate: Candidate, score: float) -> State:
        told = with_best(state, candidate, score)
        member = {"candidate": dict(candidate), "score": as_number("score", score)}
        return {**told, "members": [*state["members"], member][-population:]}

    return over_space(space, init, ask, tell)


def _index(u: float, count: int) -> int:
    return min(int(u * count), count - 1)


def _worst_if_nan(score: float) -> float:
    return -math.inf if math.isnan(score) else score
