"""LINAS: an inner search on predictors proposes what is measured next (SimQ-NAS)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any

import jax
import numpy as np

from jaxopt_lab.core.options import COUNT, COUNT_OR_ZERO, check_arguments
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
from jaxopt_lab.search.kernel_ridge import (
    KernelRidge,
    fit_kernel_ridge,
    leave_one_out_errors,
    predict_kernel_ridge,
)
from jaxopt_lab.search.space import Space, candidate_at, check_space, encode

Active = Callable[[Candidate], Iterable[str]]
_ATTEMPTS = 20
_RIDGES = (1e-4, 1e-2, 1.0)


def linas(
    space: Space,
    *,
    population: Annotated[int, COUNT] = 20,
    generations: Annotated[int, COUNT_OR_ZERO] = 10,
    active: Active | None = None,
) -> Search:
    r"""Measure what NSGA-II finds on predictors of the scores.

    The first ``population`` candidates are random. After each round of as many, one
    predictor of each score is fitted to all that was measured: a kernel ridge
    regression, linear or Gaussian, with the ridge that forecasts best where one
    candidate is left out at a time. NSGA-II on the forecasts, begun with the best
    measured members and random ones, proposes the candidates of the next round.

    Args:
      space: ``Interval``, ``Integers`` or ``Choice`` by name; bits of each layer and
        sizes of the network alike, to search them together.
      population: candidates of a round, and members of the inner search.
      generations: of the inner search.
      active: ``active(candidate)``, the names of the dimensions that matter for it,
        such as those of the layers that it has; the others are 0 for the predictors,
        and candidates that differ in them alone count as one. ``None``: all.

    Returns:
      A search. ``tell`` takes a number or a list of numbers, all to be large, always as
      many. ``state["archive"]`` holds the candidates that no other dominates, each with
      its ``scores``; ``state["members"]`` all that was measured, none twice while the
      space has others. A score that is not finite counts as the worst finite one for
      the predictor. A candidate costs ``population * generations`` forecasts and the
      fit, O(n^3) for n measured.

    Raises:
      InputError: the space or one of its dimensions is empty, or an argument is out of
        range; of ``tell``, another number of scores than before.

    Deviations: the code makes a round's candidates in one inner search and never
    measures its last population; here each is taken from an inner search of its own,
    with the predictors of the round. It chooses among ridge and support vector
    regressions by percentage errors, which break at 0, and measures repeats again.

    Source: Cummings et al., "A Hardware-Aware Framework for Accelerating Neural
    Architecture Search Across Modalities", 2022 (https://arxiv.org/abs/2205.10358),
    "SimQ-NAS: Simultaneous Quantization Policy and Neural Architecture Search", 2023
    (https://arxiv.org/abs/2312.13301), and their code, IntelLabs/DyNAS-T.

    >>> from jaxopt_lab.search import Interval, run
    >>> search = linas({"x": Interval(-1.0, 2.0)}, population=6, generations=5)
    >>> ends = lambda c: (-c["x"] ** 2, -((c["x"] - 1) ** 2))
    >>> found = run(search, ends, jax.random.key(0), 18)
    >>> len(found["members"]), len(found["archive"]) > 6
    (18, True)
    """
    check_space(space)
    check_arguments(linas, {"population": population, "generations": generations})
    genes = Genes(space)

    def features(candidate: Candidate) -> list[float]:
        return masked_encoding(space, candidate, active)

    def init() -> State:
        return {**fresh(), "members": [], "archive": []}

    def random(rng: np.random.Generator) -> Candidate:
        return candidate_at(space, rng.random(len(space)).tolist())

    def ask(state: State, key: jax.Array) -> Candidate:
        rng, members = generator(key), state["members"]
        known = {tuple(features(m["candidate"])) for m in members}
        done = len(members) - len(members) % population
        if done:
            measured = members[:done]
            fits = _fits([features(m["candidate"]) for m in measured], measured)
            for candidate in _proposals(rng, fits, measured):
                if tuple(features(candidate)) not in known:
                    return candidate
        candidate = random(rng)
        for _ in range(_ATTEMPTS):
            if tuple(features(candidate)) not in known:
                break
            candidate = random(rng)
        return candidate

    def _proposals(
        rng: np.random.Generator, fits: Sequence[KernelRidge], measured: Sequence[Any]
    ) -> list[Candidate]:
        """The last population of an inner search, in random order of its fronts."""

        def forecast(candidates: Sequence[Candidate]) -> list[Any]:
            inputs = [features(candidate) for candidate in candidates]
            columns = [predict_kernel_ridge(fit, inputs)[0] for fit in fits]
            rows = np.stack(columns, axis=1).tolist()
            pairs = zip(candidates, rows, strict=True)
            return [{"candidate": c, "scores": s} for c, s in pairs]

        best = survivors(measured, population)
        start = [m["candidate"] for m in best] + [random(rng) for _ in best]
        members = survivors(forecast(start), population)
        for _ in range(generations):
            children = [genes.child(rng, members) for _ in range(population)]
            members = survivors([*members, *forecast(children)], population)
        order = rng.permutation(len(members))
        placed = sorted(order.tolist(), key=lambda i: members[i]["rank"])
        return [members[i]["candidate"] for i in placed]

    def tell(state: State, candidate: Candidate, score: Any) -> State:
        scores = score_list(score, state["members"])
        member = {"candidate": dict(candidate), "scores": scores}
        told = with_best(state, candidate, scores[0])
        return {
            **told,
            "members": [*state["members"], member],
            "archive": archived(state["archive"], member),
        }

    return over_space(space, init, ask, tell)


def masked_encoding(
    space: Space, candidate: Mapping[str, Any], active: Active | None = None
) -> list[float]:
    """A candidate as numbers, 0 where a dimension does not matter.

    Args:
      space: dimensions by name.
      candidate: values by name.
      active: see ``linas``.

    Returns:
      As ``encode``, with 1 added to the fractions of numbers: 0 is none of them.

    >>> from jaxopt_lab.search import Integers
    >>> space = {"depth": Integers(1, 2), "width2": Integers(1, 2)}
    >>> names = lambda c: ["depth", "width2"][: c["depth"]]
    >>> masked_encoding(space, {"depth": 1, "width2": 2}, names)
    [1.25, 0.0]
    """
    names = set(space) if active is None else set(active(dict(candidate)))
    found: list[float] = []
    for name, dimension in space.items():
        own = encode({name: dimension}, candidate)
        own = [1 + own[0]] if len(own) == 1 else own
        found += own if name in names else [0.0] * len(own)
    return found


def _fits(inputs: list[list[float]], members: Sequence[Any]) -> list[KernelRidge]:
    """The best predictor of each score."""
    length = 0.5 * max(1.0, len(inputs[0])) ** 0.5
    fits = []
    for scores in np.array([m["scores"] for m in members]).T:
        finite = np.isfinite(scores)
        if not finite.any():
            scores, finite = np.zeros(len(scores)), ~finite
        targets = np.where(finite, scores, np.min(scores, where=finite, initial=np.inf))
        tried = [
            fit_kernel_ridge(inputs, targets, ridge=r, length=length, kernel=kernel)
            for kernel in ("linear", "rbf")
            for r in _RIDGES
        ]
        errors = [np.mean(leave_one_out_errors(fit) ** 2) for fit in tried]
        fits.append(tried[int(np.argmin(errors))])
    return fits
