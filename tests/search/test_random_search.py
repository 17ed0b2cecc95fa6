"""Random search, its spaces and the state that it keeps."""

import json
import math

import jax
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.search import (
    Choice,
    Integers,
    Interval,
    candidate_at,
    random_search,
    run,
)

SPACE = {
    "rate": Interval(1e-4, 1.0, log=True),
    "mean": Interval(-1.0, 3.0),
    "depth": Integers(2, 5),
    "name": Choice(("a", "b")),
}


@pytest.fixture(scope="module")
def candidates():
    search = random_search(SPACE)
    keys = jax.random.split(jax.random.key(0), 400)
    return [search.ask({}, keys[i]) for i in range(400)]


def test_candidates_fill_the_space(candidates):
    for candidate in candidates:
        assert all(candidate[name] in SPACE[name] for name in SPACE)
    values = {name: [c[name] for c in candidates] for name in SPACE}
    np.testing.assert_allclose(np.mean(np.log10(values["rate"])), -2, atol=0.2)
    np.testing.assert_allclose(np.mean(values["mean"]), 1, atol=0.2)
    assert set(values["name"]) == {"a", "b"}
    counts = np.bincount(values["depth"])[2:]
    assert len(counts) == 4 and counts.min() > 60


def test_both_ends_belong_to_every_dimension():
    assert candidate_at(SPACE, [0, 0, 0, 0]) == {
        "rate": pytest.approx(1e-4),
        "mean": -1.0,
        "depth": 2,
        "name": "a",
    }
    assert candidate_at(SPACE, [1, 1, 1, 1]) == {
        "rate": 1.0,
        "mean": 3.0,
        "depth": 5,
        "name": "b",
    }
    one = {"x": Interval(2.0, 2.0), "n": Integers(3, 3), "c": Choice((None,))}
    assert candidate_at(one, [0.3, 0.3, 0.3]) == {"x": 2.0, "n": 3, "c": None}


def test_the_best_finite_score_is_kept():
    search = random_search({"number": Integers(0, 9)})
    state = search.init()
    for i, score in enumerate((math.nan, -math.inf, 1.0, 0.5, math.nan, 1.0)):
        state = search.tell(state, {"number": i}, score)
    assert state["told"] == 6 and state["score"] == 1.0
    assert state["best"] == {"number": 2}
    assert json.loads(json.dumps(state)) == state


def test_told_state_is_a_new_one():
    search = random_search({"rate": Interval(0.0, 1.0)})
    before = search.init()
    search.tell(before, {"rate": 0.1}, 1.0)
    assert before == search.init()


def test_the_share_of_the_best_is_as_documented():
    """60 candidates find the best 5 % with probability 0.95."""
    search, hits = random_search({"x": Interval(0.0, 1.0)}), 0
    for seed in range(60):
        state = run(search, lambda c: c["x"], jax.random.key(seed), 20)
        hits += state["score"] > 0.95
    expected = 1 - 0.95**20
    error = math.sqrt(expected * (1 - expected) / 60)
    assert abs(hits / 60 - expected) < 4 * error


@pytest.mark.parametrize(
    "space, words",
    [
        ({}, "space must name at least one dimension"),
        ({"x": Interval(1.0, 0.0)}, r"space\['x'\] must be an Interval"),
        ({"x": Interval(0.0, 1.0, log=True)}, "above 0 where log"),
        ({"x": Interval(0.0, math.nan)}, "at least one value"),
        ({"x": Choice(())}, "got Choice"),
        ({"x": (0, 1)}, r"got \(0, 1\)"),
    ],
)
def test_bad_spaces(space, words):
    with pytest.raises(InputError, match=words):
        random_search(space)
