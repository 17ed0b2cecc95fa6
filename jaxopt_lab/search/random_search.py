"""Random search: independent candidates, the best of which counts."""

from __future__ import annotations

from functools import partial

import jax
import numpy as np

from jaxopt_lab.search.driver import (
    Candidate,
    Search,
    State,
    fresh,
    over_space,
    with_best,
)
from jaxopt_lab.search.space import Space, candidate_at, check_space


@partial(jax.jit, static_argnums=1)
def _fractions(key: jax.Array, count: int) -> jax.Array:
    return jax.random.uniform(key, (count,))


def random_search(space: Space) -> Search:
    r"""Draw every candidate by itself, uniformly from a space.

    Args:
      space: ``Interval``, ``Integers`` or ``Choice`` by name.

    Returns:
      A search. ``ask`` does not look at the state; the same key gives the same
      candidate.

    Raises:
      InputError: the space or one of its dimensions is empty.

    Of n candidates the best is among the best share p of the space with probability
    :math:`1 - (1 - p)^n`: 60 find the best 5 % with 95 %.

    >>> from jaxopt_lab.search import Choice, Interval, run
    >>> search = random_search({"x": Interval(-1.0, 1.0), "sign": Choice((-1, 1))})
    >>> found = run(search, lambda c: -c["sign"] * c["x"], jax.random.key(0), 60)
    >>> found["told"], bool(found["score"] > 0.8)
    (60, True)

    Cost: one draw a candidate; the state keeps the best.

    Source: Bergstra and Bengio, "Random Search for Hyper-Parameter Optimization",
    JMLR 13 (2012).
    """
    check_space(space)

    def ask(state: State, key: jax.Array) -> Candidate:
        del state
        return candidate_at(space, np.asarray(_fractions(key, len(space))).tolist())

    return over_space(space, fresh, ask, with_best)
