"""NSGA-II: a population that moves towards all best compromises at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import jax
import numpy as np

from jaxopt_lab.core.checks import as_number
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, NON_NEGATIVE, UNIT, check_arguments
from jaxopt_lab.search.draws import generator, worst_if_nan
from jaxopt_lab.search.driver import (
    Candidate,
    Search,
    State,
    fresh,
    over_space,
    with_best,
)
from jaxopt_lab.search.pareto import crowding_distance, nondominated_sort
from jaxopt_lab.search.space import (
    Choice,
    Space,
    candidate_at,
    check_space,
    fraction_of,
)

_ATTEMPTS = 10


def nsga2(
    space: Space,
    *,
    population: Annotated[int, COUNT] = 20,
    crossover: Annotated[float, UNIT] = 0.9,
    mutation: Annotated[float | None, UNIT] = None,
    crossover_eta: Annotated[float, NON_NEGATIVE] = 15.0,
    mutation_eta: Annotated[float, NON_NEGATIVE] = 20.0,
) -> Search:
    r"""Evolve towards the Pareto front of several scores.

    The first ``population`` candidates are random, each generation as many children:
    of two tournaments of two members each, the better by front and then by crowding
    distance, numbers mixed by simulated binary crossover, choices taken from either,
    and each dimension mutated with a small probability. Of members and children the
    best ``population`` stay, by front, then by crowding distance.

    Args:
      space: ``Interval``, ``Integers`` or ``Choice`` by name.
      population: members of a generation.
      crossover: probability that the parents are mixed.
      mutation: probability that a dimension is changed; ``None``: 1 over their number.
      crossover_eta: children are nearer to their parents the larger it is.
      mutation_eta: changes of numbers are smaller the larger it is.

    Returns:
      A search. ``tell`` takes a number or a list of numbers, all to be large, always as
      many. ``state["archive"]`` holds the candidates that no other dominates, each with
      its ``scores``; ``best`` and ``score`` are of the first number. NaN is worse than
      all, and never in the archive. A child that is known already is drawn again, a few
      times.

    Raises:
      InputError: the space or one of its dimensions is empty, or an argument is out of
        range; of ``tell``, another number of scores than before.

    >>> from jaxopt_lab.search import Interval, run
    >>> search = nsga2({"x": Interval(-1.0, 2.0)}, population=8)
    >>> ends = lambda c: (-c["x"] ** 2, -((c["x"] - 1) ** 2))
    >>> found = run(search, ends, jax.random.key(0), 80)
    >>> all(-0.01 < m["candidate"]["x"] < 1.01 for m in found["archive"])
    True

    Source: Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II",
    2002 (https://doi.org/10.1109/4235.996017).
    """
    check_space(space)
    given = {n: v for n, v in locals().items() if n != "space"}
    check_arguments(nsga2, given)
    names = list(space)
    rate = 1 / len(names) if mutation is None else mutation

    def init() -> State:
        return {**fresh(), "members": [], "children": [], "archive": []}

    def ask(state: State, key: jax.Array) -> Candidate:
        rng = generator(key)
        members = state["members"]
        if not members:
            return candidate_at(space, rng.random(len(names)).tolist())
        known = [m["candidate"] for m in (*members, *state["children"])]
        child: Candidate = {}
        for _ in range(_ATTEMPTS):
            drawn = rng.integers(len(members), size=4).tolist()
            pairs = ([members[i] for i in part] for part in (drawn[:2], drawn[2:]))
            parents = [min(pair, key=_place)["candidate"] for pair in pairs]
            child = _child(rng, parents)
            if child not in known:
                break
        return child

    def _child(rng: np.random.Generator, parents: Sequence[Candidate]) -> Candidate:
        mixed = rng.random() < crossover
        child = {}
        for name in names:
            dimension = space[name]
            values = [parent[name] for parent in parents]
            u, swap, change, step = rng.random(4).tolist()
            value = values[mixed and swap < 0.5]
            if isinstance(dimension, Choice):
                value = dimension.at(step) if change < rate else value
                child[name] = value
                continue
            moved = mixed and values[0] != values[1] and u < 0.5
            if not moved and change >= rate:
                child[name] = value  # as it is: a fraction and back may round
                continue
            at = fraction_of(dimension, value)
            if moved:
                ends = [fraction_of(dimension, v) for v in values]
                at = _crossed(ends, 2 * u, swap < 0.5, crossover_eta)
            if change < rate:
                at += _mutated(step, mutation_eta)
            child[name] = dimension.at(min(max(at, 0.0), 1.0))
        return child

    def tell(state: State, candidate: Candidate, score: Any) -> State:
        scores = _scores(score)
        before = [*state["members"], *state["children"]]
        if before and len(before[0]["scores"]) != len(scores):
            raise InputError(
                f"tell takes {len(before[0]['scores'])} scores, as before; got "
                f"{len(scores)}"
            )
        told = with_best(state, candidate, scores[0])
        member = {"candidate": dict(candidate), "scores": scores}
        children = [*state["children"], member]
        told |= {"children": children, "archive": _archived(state["archive"], member)}
        if len(children) < population:
            return told
        members = _survivors([*state["members"], *children], population)
        return {**told, "members": members, "children": []}

    return over_space(space, init, ask, tell)


def _scores(score: Any) -> list[float]:
    found = [as_number("score", s) for s in np.ravel(np.asarray(score))]
    if not found:
        raise InputError("tell takes at least one score; got none")
    return found


def _ordered(member: Mapping[str, Any]) -> list[float]:
    # A candidate with a NaN is worse than every other in every objective.
    scores = member["scores"]
    bad = any(np.isnan(scores))
    return [-np.inf if bad else worst_if_nan(s) for s in scores]


def _survivors(members: list[Any], count: int) -> list[Any]:
    scores = np.array([_ordered(m) for m in members])
    ranks = nondominated_sort(scores)
    crowds = np.zeros(len(members))
    for rank in range(ranks.max() + 1):
        crowds[ranks == rank] = crowding_distance(scores[ranks == rank])
    placed = [
        {**m, "rank": int(rank), "crowding": float(crowding)}
        for m, rank, crowding in zip(members, ranks, crowds, strict=True)
    ]
    return sorted(placed, key=_place)[:count]


def _place(member: Mapping[str, Any]) -> tuple[int, float]:
    return member["rank"], -member["crowding"]


def _archived(archive: list[Any], member: Mapping[str, Any]) -> list[Any]:
    if any(np.isnan(member["scores"])):
        return archive
    if any(m["candidate"] == member["candidate"] for m in archive):
        return archive
    both = [*archive, member]
    ranks = nondominated_sort([m["scores"] for m in both])
    return [m for m, rank in zip(both, ranks, strict=True) if rank == 0]


def _crossed(ends: Sequence[float], u: float, first: bool, eta: float) -> float:
    """One child of simulated binary crossover, of ends in [0, 1]."""
    power = 1 / (eta + 1)
    beta = (2 * u) ** power if u <= 0.5 else (1 / (2 * (1 - u))) ** power
    middle, half = sum(ends) / 2, abs(ends[1] - ends[0]) / 2
    return middle + beta * (half if first else -half)


def _mutated(u: float, eta: float) -> float:
    """A polynomial step of a fraction."""
    power = 1 / (eta + 1)
    return (2 * u) ** power - 1 if u < 0.5 else 1 - (2 * (1 - u)) ** power
