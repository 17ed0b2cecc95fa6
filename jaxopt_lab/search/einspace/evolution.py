"""Regularized evolution of architectures of einspace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import jax

from jaxopt_lab.core.checks import as_number
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.search.draws import generator, worst_if_nan
from jaxopt_lab.search.driver import (
    Candidate,
    Search,
    State,
    fresh,
    with_best,
)
from jaxopt_lab.search.einspace.grammar import (
    Grammar,
    mutate_architecture,
    sample_architecture,
)
from jaxopt_lab.search.einspace.nodes import (
    Node,
    Shape,
    as_text,
    from_text,
    infer_shape,
)


def einspace_evolution(
    shape: Shape,
    *,
    population: Annotated[int, COUNT] = 20,
    tournament: Annotated[int, COUNT] = 5,
    grammar: Grammar | None = None,
    starts: Sequence[Node] = (),
) -> Search:
    """Evolve architectures: of a few members the best is mutated, the oldest dies.

    Args:
      shape: of one example.
      population: members; so many are drawn first.
      tournament: members, drawn with replacement, that are compared to find a parent.
        A ``population`` of the whole budget is random search.
      grammar: ``None``: the published one.
      starts: architectures that fill the first population in turn, in place of draws.

    Returns:
      A search of candidates ``{"architecture": text}``, the text of ``as_text``; its
      state is JSON.

    Raises:
      InputError: an option is out of range, or a start does not take the shape.

    Source: as ``sample_architecture``.

    >>> search = einspace_evolution((8, 8, 1), population=2)
    >>> candidate = search.ask(search.init(), jax.random.key(0))
    >>> len(infer_shape(from_text(candidate["architecture"]), (8, 8, 1))) in (2, 3)
    True
    """
    sizes = {"population": population, "tournament": tournament}
    check_arguments(einspace_evolution, sizes)
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise InputError(f"shape must be (H, W, C) or (S, D); got {shape}")
    for start in starts:
        infer_shape(start, shape)

    def init() -> State:
        return {**fresh(), "members": []}

    def ask(state: State, key: jax.Array) -> Candidate:
        members = state["members"]
        if len(members) < population:
            told = state["told"]
            if starts:
                return {"architecture": as_text(starts[told % len(starts)])}
            return {
                "architecture": as_text(
                    sample_architecture(key, shape, grammar=grammar)
                )
            }
        places = generator(key).integers(len(members), size=tournament).tolist()
        best = max((members[i] for i in places), key=lambda m: worst_if_nan(m["score"]))
        parent = from_text(best["candidate"]["architecture"])
        child = mutate_architecture(
            jax.random.fold_in(key, 1), parent, shape, grammar=grammar
        )
        return {"architecture": as_text(child)}

    def tell(state: State, candidate: Candidate, score: float) -> State:
        told = with_best(state, candidate, score)
        member = {"candidate": dict(candidate), "score": as_number("score", score)}
        return {**told, "members": [*state["members"], member][-population:]}

    return Search(init, ask, tell)
