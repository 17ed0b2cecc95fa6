"""Search by a predictor: the candidate is scored whose forecast is best or unsure."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import jax
import numpy as np

from jaxopt_lab.core.checks import as_number
from jaxopt_lab.core.options import COUNT, NON_NEGATIVE, POSITIVE, check_arguments
from jaxopt_lab.search.draws import generator
from jaxopt_lab.search.driver import (
    Candidate,
    Search,
    State,
    fresh,
    over_space,
    with_best,
)
from jaxopt_lab.search.kernel_ridge import fit_kernel_ridge, predict_kernel_ridge
from jaxopt_lab.search.network_ensemble import (
    fit_network_ensemble,
    predict_network_ensemble,
)
from jaxopt_lab.search.space import Space, candidate_at, check_space, encode

Predictor = Literal["kernel_ridge", "network"]


def predictor_guided(
    space: Space,
    *,
    warmup: Annotated[int, COUNT] = 10,
    proposals: Annotated[int, COUNT] = 64,
    kappa: Annotated[float, NON_NEGATIVE] = 1.0,
    ridge: Annotated[float, POSITIVE] = 1e-2,
    length: Annotated[float, POSITIVE] = 0.5,
    predictor: Predictor = "kernel_ridge",
) -> Search:
    r"""Ask for the proposal with the largest upper bound of a forecast.

    .. math:: \hat y(x) + \kappa \sigma(x)

    of a kernel ridge regression of all scores so far, or of an ensemble of small
    networks. Half of the proposals are drawn
    from the space, the others are the best candidate with one dimension drawn again.
    The first ``warmup`` candidates are random.

    Args:
      space: ``Interval``, ``Integers`` or ``Choice`` by name.
      warmup: candidates before the first forecast.
      proposals: how many are forecast for each candidate that is scored.
      kappa: weight of the deviation of the forecast.
      ridge: of ``fit_kernel_ridge``; networks have none.
      length: of the kernel, in units of the range of a dimension and of the root of
        their number; two values of a choice are 1 apart; networks have none.
      predictor: ``"kernel_ridge"`` or ``"network"``, ``fit_network_ensemble`` with its
        default sizes.

    Returns:
      A search. ``state["seen"]`` holds all candidates; proposals among them are left
      out where others are left. A score that is not finite counts as the worst finite
      one. O(n^3) for the n-th candidate.

    Raises:
      InputError: the space or one of its dimensions is empty, or an argument is out of
        range.

    >>> from jaxopt_lab.search import Interval, run
    >>> space = {name: Interval(-1.0, 1.0) for name in "abc"}
    >>> score = lambda c: -sum(x * x for x in c.values())
    >>> found = run(predictor_guided(space), score, jax.random.key(0), 30)
    >>> bool(found["score"] > -0.05)
    True

    Source: Srinivas et al., "Gaussian Process Optimization in the Bandit Setting",
    2010 (https://arxiv.org/abs/0912.3995).
    """
    check_space(space)
    given = {n: v for n, v in locals().items() if n != "space"}
    check_arguments(predictor_guided, given)
    names = list(space)

    def init() -> State:
        return {**fresh(), "seen": []}

    def ask(state: State, key: jax.Array) -> Candidate:
        rng, seen = generator(key), state["seen"]
        if len(seen) < warmup or state["best"] is None:
            return candidate_at(space, rng.random(len(names)).tolist())
        drawn = [candidate_at(space, u) for u in rng.random((proposals, len(names)))]
        for i in range(proposals // 2):
            name = names[int(rng.integers(len(names)))]
            drawn[i] = {**state["best"], name: drawn[i][name]}
        known = [member["candidate"] for member in seen]
        new = [candidate for candidate in drawn if candidate not in known] or drawn
        scores = np.array([member["score"] for member in seen])
        finite = np.isfinite(scores)
        scores = np.where(finite, scores, np.min(scores, where=finite, initial=np.inf))
        if not finite.any():
            return new[0]
        inputs, others = ([encode(space, c) for c in part] for part in (known, new))
        if predictor == "network":
            networks = fit_network_ensemble(inputs, scores, rng)
            mean, deviation = predict_network_ensemble(networks, others)
        else:
            root = math.sqrt(len(names))
            fit = fit_kernel_ridge(inputs, scores, ridge=ridge, length=length * root)
            mean, deviation = predict_kernel_ridge(fit, others)
        return new[int(np.argmax(mean + kappa * deviation))]

    def tell(state: State, candidate: Candidate, score: float) -> State:
        told = with_best(state, candidate, score)
        member = {"candidate": dict(candidate), "score": as_number("score", score)}
        return {**told, "seen": [*state["seen"], member]}

    return over_space(space, init, ask, tell)
