"""REINFORCE: a distribution over candidates that moves to those with a good score."""

from __future__ import annotations

from typing import Annotated, Any

import jax
import numpy as np

from jaxopt_lab.core.checks import as_number
from jaxopt_lab.core.options import COUNT, DECAY, NON_NEGATIVE, check_arguments
from jaxopt_lab.search.draws import generator
from jaxopt_lab.search.driver import (
    Candidate,
    Search,
    State,
    fresh,
    over_space,
    with_best,
)
from jaxopt_lab.search.space import (
    Choice,
    Dimension,
    Integers,
    Space,
    check_space,
    fraction_of,
)


def choice_probabilities(logits: Any) -> np.ndarray:
    """Softmax of logits on the host.

    Args:
      logits: ``(n,)``.

    Returns:
      ``(n,)``.

    >>> choice_probabilities([0.0, 0.0]).tolist()
    [0.5, 0.5]
    """
    z = np.asarray(logits, float)
    size = np.exp(z - z.max())
    return size / size.sum()


def choice_entropy(logits: Any) -> float:
    """Entropy of the softmax of logits, in nats.

    Args:
      logits: ``(n,)``.

    Returns:
      From 0 to log n.

    >>> round(choice_entropy([0.0, 0.0]), 4), choice_entropy([900.0, 0.0])
    (0.6931, 0.0)
    """
    p = choice_probabilities(logits)
    return float(-np.sum(p * np.log(np.where(p > 0, p, 1)))) + 0.0


def reinforce_gradient(logits: Any, choice: int, advantage: float) -> np.ndarray:
    r"""The estimate of the gradient of the expected score from one choice.

    .. math:: (R - b)\, \nabla \log p_c = (R - b) (e_c - p)

    Args:
      logits: ``(n,)``.
      choice: c.
      advantage: R - b.

    Returns:
      ``(n,)``. Over choices its mean is the gradient of the expected score, whatever b
      is.

    >>> reinforce_gradient([0.0, 0.0], 1, 2.0).tolist()
    [-1.0, 1.0]
    """
    gradient = -choice_probabilities(logits)
    gradient[choice] += 1
    return advantage * gradient


def reinforce(
    space: Space,
    *,
    learning_rate: Annotated[float, NON_NEGATIVE] = 0.2,
    baseline_decay: Annotated[float, DECAY] = 0.9,
    cells: Annotated[int, COUNT] = 8,
) -> Search:
    r"""Draw candidates from a distribution that follows the policy gradient.

    Every dimension has a distribution of its own: over the values of a choice, over
    whole numbers, and over ``cells`` equal parts of an interval or of a longer range,
    uniform inside. After each score

    .. math:: z \leftarrow z + \eta \frac{R - b}{\sigma} (e_c - p)

    with moving averages b of the scores and :math:`\sigma` of their distance from it.

    Args:
      space: ``Interval``, ``Integers`` or ``Choice`` by name.
      learning_rate: :math:`\eta`; 0 is random search.
      baseline_decay: of both averages.
      cells: parts of an interval.

    Returns:
      A search. ``state["logits"]`` is z by name; the first score and NaN move nothing.

    Raises:
      InputError: the space or one of its dimensions is empty, or an argument is out of
        range.

    >>> from jaxopt_lab.search import Choice, run
    >>> arms = reinforce({"arm": Choice(("a", "b", "c"))}, learning_rate=0.5)
    >>> found = run(arms, lambda c: float(c["arm"] == "b"), jax.random.key(0), 100)
    >>> bool(choice_probabilities(found["logits"]["arm"])[1] > 0.9)
    True

    Cost: one draw a dimension for a candidate; the state keeps a number a cell of
    each dimension, and the best.

    Source: Williams, "Simple Statistical Gradient-Following Algorithms for
    Connectionist Reinforcement Learning", 1992 (https://doi.org/10.1007/BF00992696);
    the scale :math:`\sigma` is ours.
    """
    check_space(space)
    given = {n: v for n, v in locals().items() if n != "space"}
    check_arguments(reinforce, given)
    sizes = {name: _cells(dimension, cells) for name, dimension in space.items()}

    def init() -> State:
        logits = {name: [0.0] * size for name, size in sizes.items()}
        return {
            **fresh(),
            "logits": logits,
            "baseline": None,
            "spread": 0.0,
            "moves": 0,
        }

    def ask(state: State, key: jax.Array) -> Candidate:
        rng, candidate = generator(key), {}
        for name, dimension in space.items():
            u, inside = rng.random(2).tolist()
            p = choice_probabilities(state["logits"][name])
            cell = min(int(np.searchsorted(np.cumsum(p), u, side="right")), len(p) - 1)
            candidate[name] = dimension.at((cell + inside) / sizes[name])
        return candidate

    def tell(state: State, candidate: Candidate, score: float) -> State:
        told = with_best(state, candidate, score)
        reward = as_number("score", score)
        if not np.isfinite(reward):
            return told
        if state["baseline"] is None:
            return {**told, "baseline": reward}
        advantage = reward - state["baseline"]
        keep, moves = baseline_decay, state["moves"] + 1
        spread = keep * state["spread"] + (1 - keep) * abs(advantage)
        # The average begins at 0: its weights so far do not sum to 1.
        scale = spread / (1 - keep**moves)
        rate = learning_rate * advantage / scale if scale > 0 else 0.0
        logits = {}
        for name, size in sizes.items():
            at = fraction_of(space[name], candidate[name])
            cell = min(int(at * size), size - 1)
            old = np.asarray(state["logits"][name])
            logits[name] = (old + reinforce_gradient(old, cell, rate)).tolist()
        baseline = keep * state["baseline"] + (1 - keep) * reward
        averages = {"baseline": baseline, "spread": spread, "moves": moves}
        return {**told, "logits": logits, **averages}

    return over_space(space, init, ask, tell)


def _cells(dimension: Dimension, cells: int) -> int:
    if isinstance(dimension, Choice):
        return len(dimension.values)
    if isinstance(dimension, Integers):
        return min(dimension.high - dimension.low + 1, cells)
    return cells
