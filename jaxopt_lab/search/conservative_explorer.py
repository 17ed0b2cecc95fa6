"""Auto-GNN's search: the best architecture, changed in the classes that are unsure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import jax
import numpy as np

from jaxopt_lab.core.checks import as_number
from jaxopt_lab.core.errors import InputError
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
from jaxopt_lab.search.reinforce import (
    choice_entropy,
    choice_probabilities,
    reinforce_gradient,
)
from jaxopt_lab.search.space import (
    Choice,
    Integers,
    Space,
    candidate_at,
    check_space,
)


def guide_classes(
    key: jax.Array, entropies: Mapping[str, float], *, num: Annotated[int, COUNT]
) -> list[str]:
    """Classes to change, with probabilities in proportion to their entropies.

    Args:
      key: of the draws.
      entropies: by class.
      num: classes, drawn without replacement; of classes of entropy 0 none, as long as
        others are left.

    Returns:
      Names.

    Raises:
      InputError: there are fewer classes than ``num``.

    >>> guide_classes(jax.random.key(0), {"a": 0.0, "b": 0.3}, num=1)
    ['b']
    """
    check_arguments(guide_classes, {"num": num})
    names = list(entropies)
    if num > len(names):
        raise InputError(f"num must be at most {len(names)}, the classes; got {num}")
    rng, chosen = generator(key), []
    while len(chosen) < num:
        weights = np.array([max(entropies[n], 0.0) for n in names])
        if weights.sum() == 0:
            weights = np.ones(len(names))
        place = int(rng.choice(len(names), p=weights / weights.sum()))
        chosen.append(names.pop(place))
    return chosen


def conservative_explorer(
    space: Space,
    *,
    changed: Annotated[int, COUNT] = 1,
    learning_rate: Annotated[float, NON_NEGATIVE] = 0.3,
    baseline_decay: Annotated[float, DECAY] = 0.9,
) -> Search:
    r"""Change the most uncertain dimensions of the best candidate.

    Every dimension has a distribution that follows the policy gradient. ``changed``
    dimensions are drawn by ``guide_classes`` from the entropies, and their values from
    the distributions; the others are those of the best candidate. Only dimensions that
    differ from it learn,

    .. math:: z \leftarrow z + \eta\, (R - b)\, (e_c - p), \qquad
        R = \text{score} - \text{best score before},

    with a moving average b of R.

    Args:
      space: ``Choice`` and ``Integers`` by name.
      changed: dimensions of a child that may differ from the best candidate.
      learning_rate: :math:`\eta`, for scores of the order of 1.
      baseline_decay: of b.

    Returns:
      A search; ``state["logits"]`` is z by name. The first candidate is random; NaN
      teaches nothing.

    Raises:
      InputError: the space is empty or has an ``Interval``, or an argument is out of
        range.

    The published search has a recurrent encoder for each class in place of z, which
    reads the rest of the architecture, and also learns from a value that was drawn
    again.

    Source: Zhou et al., "Auto-GNN: Neural Architecture Search of Graph Neural
    Networks", 2019 (https://arxiv.org/abs/1909.03184), from memory.

    >>> from jaxopt_lab.search import run
    >>> space = {name: Choice(tuple("abc")) for name in ("x", "y")}
    >>> score = lambda c: float(c["x"] == "b") + float(c["y"] == "c")
    >>> run(conservative_explorer(space), score, jax.random.key(0), 60)["best"]
    {'x': 'b', 'y': 'c'}
    """
    check_space(space)
    given = {n: v for n, v in locals().items() if n != "space"}
    check_arguments(conservative_explorer, given)
    for name, dimension in space.items():
        if not isinstance(dimension, Choice | Integers):
            raise InputError(
                f"space[{name!r}] must be a Choice or Integers; got {dimension!r}"
            )
    values = {
        name: list(d.values)
        if isinstance(d, Choice)
        else list(range(int(d.low), int(d.high) + 1))
        for name, d in space.items()
    }
    count = min(changed, len(space))

    def init() -> State:
        logits = {name: [0.0] * len(own) for name, own in values.items()}
        return {**fresh(), "logits": logits, "baseline": 0.0}

    def ask(state: State, key: jax.Array) -> Candidate:
        rng = generator(key)
        if state["best"] is None:
            return candidate_at(space, rng.random(len(space)).tolist())
        logits = state["logits"]
        entropies = {name: choice_entropy(z) for name, z in logits.items()}
        child = dict(state["best"])
        for name in guide_classes(jax.random.fold_in(key, 1), entropies, num=count):
            p = choice_probabilities(logits[name])
            child[name] = values[name][int(rng.choice(len(p), p=p))]
        return child

    def tell(state: State, candidate: Candidate, score: Any) -> State:
        told = with_best(state, candidate, score)
        before = state["best"]
        if before is None:
            return told
        reward = as_number("score", score) - state["score"]
        # So it is of a NaN, and of the first score after one that is infinite.
        if not np.isfinite(reward):
            return told
        advantage = reward - state["baseline"]
        logits = dict(state["logits"])
        for name in space:
            if candidate[name] != before[name]:
                own = values[name].index(candidate[name])
                step = reinforce_gradient(logits[name], own, learning_rate * advantage)
                logits[name] = (np.asarray(logits[name]) + step).tolist()
        keep = baseline_decay
        baseline = keep * state["baseline"] + (1 - keep) * reward
        return {**told, "logits": logits, "baseline": baseline}

    return over_space(space, init, ask, tell)
