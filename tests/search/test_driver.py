"""What searches are told: candidates of their space, and numbers."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab import catalog
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.search import (
    Choice,
    Integers,
    Interval,
    conservative_explorer,
    linas,
    nsga2,
    predictor_guided,
    random_search,
    regularized_evolution,
    reinforce,
    run,
)

SPACE = {"n": Integers(1, 4), "name": Choice(("a", "b"))}
SEARCHES = [
    conservative_explorer,
    linas,
    nsga2,
    predictor_guided,
    random_search,
    regularized_evolution,
    reinforce,
]
INSIDE = {"n": 2, "name": "a"}


@pytest.mark.parametrize("make", SEARCHES)
@pytest.mark.parametrize(
    "candidate, words",
    [
        ({"n": 2}, "needs a value of 'name'; got n$"),
        ({**INSIDE, "nme": 1}, "unknown dimension 'nme'; perhaps you meant 'name'"),
        ({**INSIDE, "n": 5}, r"candidate\['n'\] must be one of .*high=4\); got 5$"),
        ({**INSIDE, "n": 2.0}, r"candidate\['n'\] must be one of"),
        ({**INSIDE, "name": "c"}, r"candidate\['name'\] must be one of .*'c'$"),
    ],
)
def test_a_candidate_of_another_space_is_refused(make, candidate, words):
    search = make(SPACE)
    with pytest.raises(InputError, match=words):
        search.tell(search.init(), candidate, 1.0)


@pytest.mark.parametrize("make", SEARCHES)
@pytest.mark.parametrize("score", [None, "good", 1j])
def test_a_score_is_a_number(make, score):
    search = make(SPACE)
    with pytest.raises(InputError, match="^score must be a number; got "):
        search.tell(search.init(), INSIDE, score)


@pytest.mark.parametrize("make", SEARCHES)
@pytest.mark.parametrize("score", [2, np.float32(2), jnp.float32(2)])
def test_numbers_of_numpy_and_jax_are_scores(make, score):
    search = make(SPACE)
    assert search.tell(search.init(), INSIDE, score)["score"] == 2.0


def test_no_score_at_all():
    search = nsga2(SPACE)
    with pytest.raises(InputError, match="^tell takes at least one score; got none"):
        search.tell(search.init(), INSIDE, [])


def test_an_infinite_score_leaves_a_distribution():
    search = conservative_explorer(SPACE)
    state = search.init()
    for name, score in (("a", 1.0), ("b", math.inf), ("a", 2.0), ("a", -math.inf)):
        state = search.tell(state, {**INSIDE, "name": name}, score)
    assert np.isfinite([*state["logits"]["name"], state["baseline"]]).all()


def test_a_whole_number_lies_in_an_interval():
    assert 1 in Interval(0.0, 2.0) and 3 not in Interval(0.0, 2.0)
    assert True not in Interval(0.0, 2.0) and math.nan not in Interval(0.0, 2.0)


@pytest.mark.parametrize(
    "dimension", [Choice("abc"), Integers(1.0, 4.0), Integers(1, 2.5), Choice(())]
)
def test_a_dimension_of_another_kind_is_refused(dimension):
    with pytest.raises(InputError, match=r"^space\['x'\] must be an Interval"):
        random_search({"x": dimension})


@pytest.mark.parametrize(
    "key, budget, words",
    [
        (0, 3, "^key must be a typed key"),
        (None, 3, "^key must be a typed key"),
        ("typed", -1, "^budget must be a whole number of at least 0; got -1"),
        ("typed", 2.5, "^budget must be a whole number"),
    ],
)
def test_how_often_and_by_which_key(key, budget, words):
    key = jax.random.key(0) if key == "typed" else key
    with pytest.raises(InputError, match=words):
        run(random_search(SPACE), lambda c: 0.0, key, budget)


def takes_several(make):
    """Whether a search takes a list of scores, by trying it."""
    search = make(SPACE)
    state = search.init()
    candidate = search.ask(state, jax.random.key(0))
    try:
        search.tell(state, candidate, [1.0, 2.0])
    except InputError:
        return False
    return True


def test_rows_say_which_searches_take_several_scores():
    rows = catalog.of_kind("search")
    assert {make.__name__ for make in SEARCHES} == set(rows)
    for make in SEARCHES:
        assert rows[make.__name__].several is takes_several(make), make.__name__
