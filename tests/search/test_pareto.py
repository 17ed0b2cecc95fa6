"""Fronts, crowding and volumes against brute force; NSGA-II on known fronts."""

import itertools
import json
import math

import jax
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.search import (
    Integers,
    Interval,
    crowding_distance,
    hypervolume,
    nondominated_sort,
    nsga2,
)

RNG = np.random.default_rng(0)
KEYS = [jax.random.wrap_key_data(np.array([1, i], np.uint32)) for i in range(600)]


def over(a, b):
    return all(x >= y for x, y in zip(a, b, strict=True)) and any(
        x > y for x, y in zip(a, b, strict=True)
    )


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_fronts_are_those_of_peeling(objectives):
    points = RNG.integers(0, 8, (50, objectives)).tolist()
    left, rank, want = dict(enumerate(points)), 0, {}
    while left:
        front = [
            i for i, p in left.items() if not any(over(q, p) for q in left.values())
        ]
        want |= dict.fromkeys(front, rank)
        left = {i: p for i, p in left.items() if i not in front}
        rank += 1
    assert nondominated_sort(points).tolist() == [want[i] for i in range(50)]


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_volume_is_the_count_of_cells(objectives):
    points = RNG.integers(-1, 8, (12, objectives))
    cells = itertools.product(range(8), repeat=objectives)
    below = [any(np.all(p > c) for p in points) for c in map(np.array, cells)]
    assert hypervolume(points, [0] * objectives) == sum(below)
    assert hypervolume(points - 9, [0] * objectives) == 0


def test_crowding_is_the_sum_of_gaps():
    s = np.array([[0.0, 5], [1, 3], [2, 2.5], [4, 0]])
    want = [math.inf, 2 / 4 + 2.5 / 5, 3 / 4 + 3 / 5, math.inf]
    np.testing.assert_allclose(crowding_distance(s[[2, 0, 3, 1]])[[1, 3, 0, 2]], want)
    assert crowding_distance([[1.0, 1], [1, 1], [1, 1]])[1] in (0, math.inf)


def told(search, score, budget, state=None, start=0):
    state = search.init() if state is None else state
    for key in KEYS[start : start + budget]:
        candidate = search.ask(state, key)
        state = search.tell(state, candidate, score(candidate))
    return state


def zdt(power):
    """The problems ZDT1 (convex, 1/2) and ZDT2 (concave, 2) on whole numbers."""

    def score(c):
        x = [v / 7 for v in c.values()]
        g = 1 + 9 * sum(x[1:]) / (len(x) - 1)
        return -x[0], -g * (1 - (x[0] / g) ** power)

    return score


def coins(c):
    """A knapsack of five coins: value and weight, to be large and small."""
    value, weight = (8, 5, 4, 3, 2), (5, 4, 2, 3, 1)
    kept = list(c.values())
    total = lambda w: sum(a * b for a, b in zip(w, kept, strict=True))
    return total(value), -total(weight)


CUBE = {f"x{i}": Integers(0, 7) for i in range(4)}
PROBLEMS = {
    "zdt1": (CUBE, zdt(0.5), (-2.0, -11.0)),
    "zdt2": (CUBE, zdt(2.0), (-2.0, -11.0)),
    "coins": ({f"c{i}": Integers(0, 2) for i in range(5)}, coins, (-1.0, -40.0)),
}


@pytest.mark.parametrize("name", ["zdt1", "zdt2"])
def test_the_front_has_the_volume_of_all_candidates(name):
    space, score, low = PROBLEMS[name]
    values = [range(d.low, d.high + 1) for d in space.values()]
    every = [
        score(dict(zip(space, x, strict=True))) for x in itertools.product(*values)
    ]
    whole = hypervolume(every, low)
    state = told(nsga2(space, population=30), score, 400)
    found = [m["scores"] for m in state["archive"]]
    assert set(nondominated_sort(found)) == {0}
    gap = whole - hypervolume(found, low)
    assert abs(gap) <= 1e-9 * whole


def test_the_archive_never_loses_volume_nor_has_a_candidate_twice():
    space, score, low = PROBLEMS["coins"]
    search, state, last = nsga2(space, population=6), None, 0.0
    for i in range(60):
        state = told(search, score, 1, state, i)
        volume = hypervolume([m["scores"] for m in state["archive"]], low)
        assert volume >= last
        last = volume
    names = [json.dumps(m["candidate"]) for m in state["archive"]]
    assert len(names) == len(set(names))


def test_it_goes_on_from_text_bit_for_bit():
    space = {"x": Interval(1e-3, 1.0, log=True), "n": Integers(1, 5)}
    score = lambda c: (-c["x"], c["n"] * c["x"])
    search = nsga2(space, population=5)
    state = told(search, score, 23)
    again = json.loads(json.dumps(state))
    rest = [told(search, score, 20, s, 23) for s in (state, again)]
    assert json.dumps(rest[0]) == json.dumps(rest[1])


def test_a_nan_is_worse_than_all():
    search = nsga2({"x": Integers(0, 3)}, population=2)
    state = search.tell(search.init(), {"x": 0}, (math.nan, 9.0))
    assert state["archive"] == [] and state["best"] is None
    for x in (1, 2, 3):
        state = search.tell(state, {"x": x}, (float(x), 0.0))
    assert [m["candidate"]["x"] for m in state["archive"]] == [3]
    assert {m["candidate"]["x"] for m in state["members"]} == {2, 3}


def test_bad_input():
    search = nsga2({"x": Integers(0, 3)}, population=2)
    state = search.tell(search.init(), {"x": 0}, (1.0, 2.0))
    with pytest.raises(InputError, match="tell takes 2 scores, as before; got 1"):
        search.tell(state, {"x": 1}, 1.0)
    with pytest.raises(InputError, match="one number for each objective"):
        hypervolume([[1, 2]], [0])
    with pytest.raises(InputError, match="none NaN"):
        nondominated_sort([[math.nan]])
    with pytest.raises(InputError, match="crossover must lie in"):
        nsga2({"x": Integers(0, 3)}, crossover=2.0)
