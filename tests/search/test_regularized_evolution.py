"""Regularized evolution: one change a child, parents of tournaments, aging."""

import math

import jax
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.search import (
    Choice,
    Integers,
    Interval,
    random_search,
    regularized_evolution,
    run,
)

SPACE = {
    "rate": Interval(1e-4, 1.0, log=True),
    "depth": Integers(2, 9),
    "name": Choice(("a", "b", "c")),
}
KEYS = [jax.random.wrap_key_data(np.array([0, i], np.uint32)) for i in range(40)]


def test_it_begins_as_random_search():
    search, plain = regularized_evolution(SPACE, population=4), random_search(SPACE)
    state = search.init()
    for key in KEYS[:4]:
        assert search.ask(state, key) == plain.ask({}, key)
        state = search.tell(state, search.ask(state, key), 0.0)
    assert len(state["members"]) == 4


def test_a_child_is_its_parent_but_for_one_dimension():
    search = regularized_evolution(SPACE, population=6, tournament=60)
    state = search.init()
    for i, key in enumerate(KEYS[:6]):
        state = search.tell(state, search.ask(state, key), math.nan if i == 3 else -i)
    best = state["members"][0]["candidate"]  # all but surely in a tournament of 60
    changed = []
    for key in KEYS:
        child = search.ask(state, key)
        different = [name for name in SPACE if child[name] != best[name]]
        assert len(different) <= 1
        changed += different
        assert all(child[name] in SPACE[name] for name in SPACE)
    assert set(changed) == set(SPACE)


def test_the_oldest_dies_whatever_its_score():
    search = regularized_evolution(SPACE, population=3, tournament=2)
    state = search.init()
    for i, score in enumerate((9.0, 1.0, 2.0, 0.0)):
        candidate = search.ask(state, KEYS[i])
        state = search.tell(state, candidate, score)
    assert [member["score"] for member in state["members"]] == [1.0, 2.0, 0.0]
    assert state["score"] == 9.0 and state["told"] == 4


def test_it_beats_random_search_in_many_dimensions():
    space = {f"x{i}": Interval(-1.0, 1.0) for i in range(8)}
    score = lambda c: -sum(x * x for x in c.values())
    gaps = []
    for seed in range(5):
        key = jax.random.key(seed)
        ways = (regularized_evolution(space, population=10), random_search(space))
        evolved, drawn = (run(search, score, key, 150)["score"] for search in ways)
        gaps.append(evolved - drawn)
    assert np.mean(gaps) > 0.3 and np.min(gaps) > 0


@pytest.mark.parametrize("name", ["population", "tournament"])
def test_sizes_out_of_range(name):
    with pytest.raises(
        InputError, match=f"{name} must be a whole number of at least 1"
    ):
        regularized_evolution(SPACE, **{name: 0})
