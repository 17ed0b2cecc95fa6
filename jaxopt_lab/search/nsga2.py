"""NSGA-II: a population that moves towards all best compromises at once."""

from __future__ import annotations

from typing import Annotated, Any

import jax

from jaxopt_lab.core.options import COUNT, NON_NEGATIVE, UNIT, check_arguments
from jaxopt_lab.search.draws import generator
from jaxopt_lab.search.driver import (
    Candidate,
    Search,
    State,
    fresh,
    over_space,
    with_best,
)
from jaxopt_lab.search.generations import Genes, archived, score_list, survivors
from jaxopt_lab.search.space import Space, candidate_at, check_space

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

    Cost: a generation is sorted in ``population ** 2`` comparisons on the host; the
    state keeps two generations and the archive.

    Source: Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II",
    2002 (https://doi.org/10.1109/4235.996017).
    """
    check_space(space)
    given = {n: v for n, v in locals().items() if n != "space"}
    check_arguments(nsga2, given)
    genes = Genes(space, crossover, mutation, crossover_eta, mutation_eta)

    def init() -> State:
        return {**fresh(), "members": [], "children": [], "archive": []}

    def ask(state: State, key: jax.Array) -> Candidate:
        rng = generator(key)
        members = state["members"]
        if not members:
            return candidate_at(space, rng.random(len(space)).tolist())
        known = [m["candidate"] for m in (*members, *state["children"])]
        child: Candidate = {}
        for _ in range(_ATTEMPTS):
            child = genes.child(rng, members)
            if child not in known:
                break
        return child

    def tell(state: State, candidate: Candidate, score: Any) -> State:
        before = [*state["members"], *state["children"]]
        scores = score_list(score, before)
        told = with_best(state, candidate, scores[0])
        member = {"candidate": dict(candidate), "scores": scores}
        children = [*state["children"], member]
        told |= {"children": children, "archive": archived(state["archive"], member)}
        if len(children) < population:
            return told
        members = survivors([*state["members"], *children], population)
        return {**told, "members": members, "children": []}

    return over_space(space, init, ask, tell)
