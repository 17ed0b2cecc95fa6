"""REINFORCE: the exact gradient on few choices, and the best arm of a bandit."""

import json
import math

import jax
import numpy as np

from jaxopt_lab.search import (
    Choice,
    Integers,
    Interval,
    choice_entropy,
    choice_probabilities,
    fraction_of,
    reinforce,
    reinforce_gradient,
)

KEYS = [jax.random.wrap_key_data(np.array([2, i], np.uint32)) for i in range(300)]


def test_the_mean_estimate_is_the_gradient_whatever_the_baseline():
    z, scores = np.array([0.3, -1.0, 0.5]), np.array([1.0, 4.0, -2.0])
    p = choice_probabilities(z)
    exact = p * (scores - p @ scores)
    for b in (0.0, 7.0):
        mean = sum(p[c] * reinforce_gradient(z, c, scores[c] - b) for c in range(3))
        np.testing.assert_allclose(mean, exact, rtol=1e-12)


def test_entropy_is_from_zero_to_the_logarithm():
    assert choice_entropy([800.0, 0.0, 0.0]) == 0
    assert math.isclose(choice_entropy([1.0] * 5), math.log(5))


def run(search, score, budget, state=None, start=0):
    state = search.init() if state is None else state
    for key in KEYS[start : start + budget]:
        candidate = search.ask(state, key)
        state = search.tell(state, candidate, score(candidate))
    return state


def test_the_best_arm_is_found_and_text_is_enough_to_go_on():
    noise = iter(np.random.default_rng(0).normal(size=10_000))
    arms = {"a": Choice(("x", "y", "z")), "n": Integers(1, 4)}
    search = reinforce(arms, learning_rate=0.3)
    score = lambda c: 2.0 * (c["a"] == "z") + (c["n"] == 2) + 0.3 * next(noise)
    state = run(search, score, 250)
    assert choice_probabilities(state["logits"]["a"])[2] > 0.9
    assert choice_probabilities(state["logits"]["n"])[1] > 0.9
    plain = lambda c: float(c["n"])
    again = json.loads(json.dumps(state))
    ends = [run(search, plain, 20, s, 250) for s in (state, again)]
    assert json.dumps(ends[0]) == json.dumps(ends[1])


def test_intervals_are_searched_in_cells():
    space = {"x": Interval(0.0, 1.0)}
    state = run(reinforce(space, cells=4), lambda c: -abs(c["x"] - 0.6), 200)
    p = choice_probabilities(state["logits"]["x"])
    assert len(p) == 4 and p[2] > 0.6
    assert abs(state["best"]["x"] - 0.6) < 0.02


def test_what_teaches_nothing():
    search = reinforce({"a": Choice(("x", "y"))})
    state = search.tell(search.init(), {"a": "x"}, 1.0)
    for score in (math.nan, math.inf, 1.0):
        assert search.tell(state, {"a": "y"}, score)["logits"] == {"a": [0.0, 0.0]}
    still = reinforce({"a": Choice(("x", "y"))}, learning_rate=0.0)
    state = run(still, lambda c: float(c["a"] == "x"), 10)
    assert state["logits"] == {"a": [0.0, 0.0]}


TOLD = (("x", 1.0), ("y", 3.0), ("x", 2.0), ("y", 5.0))


def test_scores_that_are_no_numbers_leave_the_others_as_they_are():
    search = reinforce({"a": Choice(("x", "y"))})
    finite = [({"a": name}, score) for name, score in TOLD]
    broken = [({"a": "y"}, math.nan), ({"a": "x"}, -math.inf), *finite[:2]]
    broken += [({"a": "x"}, math.inf), *finite[2:]]
    ends = []
    for told in (finite, broken):
        state = search.init()
        for candidate, score in told:
            state = search.tell(state, candidate, score)
        ends.append({n: state[n] for n in ("logits", "baseline", "spread")})
    assert ends[0] == ends[1]


def test_fractions_invert():
    for d in (Interval(0.1, 9.0, log=True), Interval(-1.0, 3.0), Integers(2, 6)):
        for u in (0.0, 0.3, 0.99, 1.0):
            assert math.isclose(d.at(fraction_of(d, d.at(u))), d.at(u), rel_tol=1e-12)
    names = Choice(("a", "b", "c"))
    assert [names.at(fraction_of(names, v)) for v in names.values] == list("abc")
    assert Interval(2.0, 2.0).at(fraction_of(Interval(2.0, 2.0), 2.0)) == 2.0
