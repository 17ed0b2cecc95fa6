"""Candidates asked for, trained, kept and told, until a budget is spent."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab.searching.trials import Trial, Trials
from jaxopt_lab.search import Search


class Searched(NamedTuple):
    """A search, whole or stopped.

    Attributes:
      trials: all candidates so far.
      state: of the driver.
      whole: whether the budget is spent.
    """

    trials: list[Trial]
    state: Mapping[str, Any]
    whole: bool


def search_candidates(
    search: Search,
    trials: Trials,
    evaluate: Callable[[int, Mapping[str, Any]], list[float] | None],
    *,
    seed: int,
    budget: int,
    several: bool = False,
    progress: Callable[[Trial], None] = lambda trial: None,
) -> Searched:
    """Spend a budget of candidates; those in the store count, and are not run again.

    Candidate i is asked with the i-th key of the seed, and the driver is told the
    stored scores in their order: an interrupted search ends as a whole one, bit for
    bit.

    Args:
      search: the driver.
      trials: the store.
      evaluate: ``evaluate(number, candidate)``, its scores; ``None``: stopped.
      seed: of the draws.
      budget: number of candidates.
      several: tell the driver all scores of a candidate; else the first one.
      progress: called with every new one.

    Returns:
      The search so far.

    Raises:
      InputError: the budget is below 1, or the store holds a candidate that this driver
        does not ask for.
    """
    if budget < 1:
        raise InputError(f"budget={budget} is out of range; accepted: [1, inf)")
    key, state, known = jax.random.key(seed), search.init(), trials.all()
    for number in range(max(budget, len(known))):
        candidate = search.ask(state, jax.random.fold_in(key, number))
        if number < len(known):
            trial = known[number]
            if trial.candidate != candidate:
                raise InputError(
                    f"{trials.path} holds candidate {number} of another driver: "
                    f"{trial.candidate} instead of {candidate}"
                )
        else:
            began = time.monotonic()
            scores = evaluate(number, candidate)
            if scores is None:
                return Searched(known, state, whole=False)
            trial = Trial(number, candidate, scores, time.monotonic() - began)
            trials.add(trial)
            known.append(trial)
            progress(trial)
        score = trial.scores if several else trial.scores[0]
        state = search.tell(state, candidate, score)
    return Searched(known, state, whole=True)
