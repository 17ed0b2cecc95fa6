"""Generations of NSGA-II: children, survivors and the archive of compromises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxopt_lab.core.checks import as_number
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.search.draws import worst_if_nan
from jaxopt_lab.search.driver import Candidate
from jaxopt_lab.search.pareto import crowding_distance, nondominated_sort
from jaxopt_lab.search.space import Choice, Space, fraction_of


class Genes(NamedTuple):
    """The operators that make a child; see ``nsga2``.

    Attributes:
      space: dimensions by name.
      crossover: probability that the parents are mixed.
      mutation: probability that a dimension is changed; ``None``: 1 over their number.
      crossover_eta: children are nearer to their parents the larger it is.
      mutation_eta: changes of numbers are smaller the larger it is.
    """

    space: Space
    crossover: float = 0.9
    mutation: float | None = None
    crossover_eta: float = 15.0
    mutation_eta: float = 20.0

    def child(self, rng: np.random.Generator, members: Sequence[Any]) -> Candidate:
        """A child of two tournaments of two members each.

        Args:
          rng: the random numbers.
          members: from ``survivors``.

        Returns:
          A candidate of the space.
        """
        drawn = rng.integers(len(members), size=4).tolist()
        pairs = ([members[i] for i in part] for part in (drawn[:2], drawn[2:]))
        parents = [min(pair, key=_place)["candidate"] for pair in pairs]
        rate = 1 / len(self.space) if self.mutation is None else self.mutation
        mixed = rng.random() < self.crossover
        child = {}
        for name, dimension in self.space.items():
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
                at = _crossed(ends, 2 * u, swap < 0.5, self.crossover_eta)
            if change < rate:
                at += _mutated(step, self.mutation_eta)
            child[name] = dimension.at(min(max(at, 0.0), 1.0))
        return child


def score_list(score: Any, before: Sequence[Mapping[str, Any]]) -> list[float]:
    """Several scores as a list.

    Args:
      score: a number or several.
      before: members with their ``scores``; may be empty.

    Returns:
      The numbers.

    Raises:
      InputError: there is none, or another number of them than before.

    >>> score_list((1, 2), [])
    [1.0, 2.0]
    """
    found = [as_number("score", s) for s in np.ravel(np.asarray(score))]
    if not found:
        raise InputError("tell takes at least one score; got none")
    if before and len(before[0]["scores"]) != len(found):
        raise InputError(
            f"tell takes {len(before[0]['scores'])} scores, as before; got {len(found)}"
        )
    return found


def survivors(members: Sequence[Mapping[str, Any]], count: int) -> list[Any]:
    """The best members, by front and then by crowding distance.

    Args:
      members: candidates with ``scores``, all to be large; one NaN is worse than all.
      count: how many stay.

    Returns:
      At most ``count`` of them, with ``rank`` and ``crowding``, best first.

    >>> found = survivors([{"scores": [1.0]}, {"scores": [2.0]}], 1)
    >>> found[0]["scores"], found[0]["rank"]
    ([2.0], 0)
    """
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


def archived(
    archive: Sequence[Mapping[str, Any]], member: Mapping[str, Any]
) -> list[Any]:
    """The archive of candidates that no other dominates, with one more.

    Args:
      archive: of the members before.
      member: ``candidate`` and ``scores``; left out with a NaN, or if it is known.

    Returns:
      The archive.

    >>> archived([{"candidate": 1, "scores": [1.0]}], {"candidate": 2, "scores": [2.0]})
    [{'candidate': 2, 'scores': [2.0]}]
    """
    if any(np.isnan(member["scores"])):
        return list(archive)
    if any(m["candidate"] == member["candidate"] for m in archive):
        return list(archive)
    both = [*archive, member]
    ranks = nondominated_sort([m["scores"] for m in both])
    return [m for m, rank in zip(both, ranks, strict=True) if rank == 0]


def _ordered(member: Mapping[str, Any]) -> list[float]:
    # A candidate with a NaN is worse than every other in every objective.
    scores = member["scores"]
    bad = any(np.isnan(scores))
    return [-np.inf if bad else worst_if_nan(s) for s in scores]


def _place(member: Mapping[str, Any]) -> tuple[int, float]:
    return member["rank"], -member["crowding"]


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
