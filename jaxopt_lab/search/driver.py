"""The contract of a search: ask for a candidate, tell its score."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from jaxopt_lab.core.argument_checks import check_key
from jaxopt_lab.core.checks import as_number, check_integer
from jaxopt_lab.search.space import Space, check_candidate

Candidate = dict[str, Any]
State = dict[str, Any]


class Search(NamedTuple):
    """A search as three pure functions on the host.

    Attributes:
      init: ``init() -> state``, plain numbers, strings, lists and dicts (JSON where the
        candidates are), with the entries ``best``, ``score`` and ``told``.
      ask: ``ask(state, key) -> candidate``, values by name.
      tell: ``tell(state, candidate, score) -> state``; larger scores are better. A
        search for compromises takes a list of them.
    """

    init: Callable[[], State]
    ask: Callable[[State, jax.Array], Candidate]
    tell: Callable[[State, Candidate, Any], State]


def fresh() -> State:
    """The state of a search that has seen nothing."""
    return {"told": 0, "best": None, "score": -math.inf}


def over_space(
    space: Space,
    init: Callable[[], State],
    ask: Callable[[State, jax.Array], Candidate],
    tell: Callable[[State, Candidate, Any], State],
) -> Search:
    """A search that refuses to be told of candidates outside of its space.

    Args:
      space: dimensions by name, checked.
      init: as of ``Search``, and so are the others.
      ask: makes a candidate.
      tell: takes a candidate of the space.

    Returns:
      The search. Its ``tell`` raises ``InputError`` for other candidates: they would
      enter its state, and be asked again.
    """

    def checked(state: State, candidate: Candidate, score: Any) -> State:
        check_candidate(space, candidate)
        return tell(state, candidate, score)

    return Search(init, ask, checked)


def with_best(state: State, candidate: Candidate, score: float) -> State:
    """A state that has seen one more candidate.

    Args:
      state: with ``told``, ``best`` and ``score``; other entries are kept.
      candidate: values by name.
      score: its score; NaN is never the best.

    Returns:
      A new state; of equal scores the first candidate stays.

    Raises:
      InputError: the score is no number.

    >>> with_best(fresh(), {"x": 1}, 0.5)
    {'told': 1, 'best': {'x': 1}, 'score': 0.5}
    """
    score = as_number("score", score)
    better = not math.isnan(score) and (state["best"] is None or score > state["score"])
    found = {"best": dict(candidate), "score": score} if better else {}
    return {**state, "told": state["told"] + 1, **found}


def run(
    search: Search, score_of: Callable[[Candidate], Any], key: jax.Array, budget: int
) -> State:
    """Ask, score and tell a number of times.

    Args:
      search: the search.
      score_of: the score of a candidate.
      key: typed key; candidate i is asked with ``jax.random.fold_in(key, i)``.
      budget: how many candidates.

    Returns:
      The last state.

    Raises:
      InputError: the key is none, the budget is no whole number, or a score is none.
    """
    check_key("key", key)
    check_integer("budget", budget, low=0)
    state = search.init()
    for i in range(budget):
        candidate = search.ask(state, jax.random.fold_in(key, i))
        state = search.tell(state, candidate, score_of(candidate))
    return state
