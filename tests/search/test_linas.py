"""LINAS: what it proposes, what it never measures twice, and its predictors."""

import importlib
import itertools
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
    dominates,
    fit_kernel_ridge,
    hypervolume,
    leave_one_out_errors,
    linas,
    masked_encoding,
    nondominated_sort,
    nsga2,
)

# A network of one to four layers of some bits each; the bits of others do not matter.
SPACE = {"depth": Integers(1, 4), **{f"bits{i}": Choice((2, 4, 8)) for i in range(4)}}


def active(candidate):
    return ["depth", *(f"bits{i}" for i in range(candidate["depth"]))]


def size_and_error(candidate):
    bits = [candidate[f"bits{i}"] for i in range(candidate["depth"])]
    error = math.prod(0.7 + 0.5 / b for b in bits)
    return -sum(bits), -error


def told(search, score, count, state=None, seed=0):
    state = search.init() if state is None else state
    for _ in range(count):
        key = jax.random.fold_in(jax.random.key(seed), state["told"])
        candidate = search.ask(state, key)
        state = search.tell(state, candidate, score(candidate))
    return state


def test_forecasts_save_evaluations():
    """Against NSGA-II with as many candidates, over fixed seeds."""
    gaps, low = [], (-33.0, -1.0)
    for seed in range(5):
        ways = (
            linas(SPACE, population=8, generations=4, active=active),
            nsga2(SPACE, population=8),
        )
        volumes = []
        for way in ways:
            archive = told(way, size_and_error, 32, seed=seed)["archive"]
            volumes.append(hypervolume([m["scores"] for m in archive], low))
        gaps.append(volumes[0] - volumes[1])
    assert np.mean(gaps) > 2 * np.std(gaps) / 5**0.5


def test_nothing_is_measured_twice_and_the_front_never_shrinks():
    search = linas(SPACE, population=6, generations=2, active=active)
    state, last = search.init(), 0.0
    for _ in range(30):
        state = told(search, size_and_error, 1, state)
        volume = hypervolume([m["scores"] for m in state["archive"]], (-33.0, -1.0))
        assert volume >= last * (1 - 1e-12)
        last = volume
    codes = {
        tuple(masked_encoding(SPACE, m["candidate"], active)) for m in state["members"]
    }
    assert len(codes) == 30


def test_a_space_that_is_used_up_goes_on():
    search = linas({"x": Choice((0, 1))}, population=2)
    state = told(search, lambda c: c["x"], 5)
    assert {m["candidate"]["x"] for m in state["members"][:2]} == {0, 1}


def test_dimensions_that_do_not_matter_are_left_out():
    one = {"depth": 1, "bits0": 4, "bits1": 2, "bits2": 2, "bits3": 8}
    other = {**one, "bits1": 8, "bits3": 2}
    assert masked_encoding(SPACE, one, active) == masked_encoding(SPACE, other, active)
    assert masked_encoding(SPACE, one) != masked_encoding(SPACE, other)
    deeper = {**one, "depth": 2}
    assert masked_encoding(SPACE, deeper, active) != masked_encoding(SPACE, one, active)


def test_errors_of_each_from_the_others():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(7, 2)), rng.normal(size=7)
    for kernel in ("linear", "rbf"):
        fit = fit_kernel_ridge(x, y, ridge=0.1, kernel=kernel)
        errors = leave_one_out_errors(fit)
        for i in range(7):
            rest = np.arange(7) != i
            # The mean and the scale stay those of all: one more target moves neither.
            z = (y - y.mean()) / y.std()
            k = (
                x @ x.T
                if kernel == "linear"
                else np.exp(-((x[:, None] - x[None]) ** 2).sum(-1) / 0.5)
            )
            inner = k[np.ix_(rest, rest)] + 0.1 * np.eye(6)
            forecast = k[i, rest] @ np.linalg.solve(inner, z[rest])
            np.testing.assert_allclose(errors[i], y.std() * (z[i] - forecast))


def test_it_goes_on_from_text_and_bears_what_is_not_finite():
    space = {"x": Interval(1e-3, 1.0, log=True), "n": Integers(1, 5)}
    search = linas(space, population=4, generations=2)
    bad = lambda c: (math.nan, math.inf) if c["n"] == 3 else (-c["x"], c["n"] * c["x"])
    state = told(search, bad, 9)
    again = json.loads(json.dumps(state))
    rest = [told(search, bad, 6, s) for s in (state, again)]
    assert json.dumps(rest[0]) == json.dumps(rest[1])
    assert all(np.isfinite(m["scores"]).all() for m in rest[0]["archive"])
    never = told(search, lambda c: math.nan, 6)
    assert never["archive"] == [] and len(never["members"]) == 6


def test_bad_input():
    search = linas({"x": Integers(0, 3)}, population=2)
    state = search.tell(search.init(), {"x": 0}, (1.0, 2.0))
    with pytest.raises(InputError, match="tell takes 2 scores, as before; got 1"):
        search.tell(state, {"x": 1}, 1.0)
    with pytest.raises(InputError, match="population must"):
        linas({"x": Integers(0, 3)}, population=0)


def test_with_a_perfect_forecast_its_proposals_are_those_of_the_true_front(monkeypatch):
    module = importlib.import_module("jaxopt_lab.search.linas")
    table = {}

    def exact(candidate):
        # Products in another order differ in the last digit.
        return tuple(round(score, 12) for score in size_and_error(candidate))

    for depth in range(1, 5):
        for bits in itertools.product((2, 4, 8), repeat=4):
            own = {"depth": depth, **{f"bits{i}": b for i, b in enumerate(bits)}}
            table[tuple(masked_encoding(SPACE, own, active))] = exact(own)

    def forecast(fit, inputs):
        return np.array([table[tuple(x)][fit] for x in inputs]), None

    monkeypatch.setattr(module, "_fits", lambda *_: (0, 1))
    monkeypatch.setattr(module, "predict_kernel_ridge", forecast)
    scores = list(table.values())
    ranks = nondominated_sort(scores)
    front = {s for s, rank in zip(scores, ranks, strict=True) if rank == 0}
    search = linas(SPACE, population=8, generations=60, active=active)
    state = told(search, exact, 8)
    measured = [m["scores"] for m in state["members"]]
    keys = [jax.random.fold_in(jax.random.key(7), i) for i in range(4)]
    proposed = [exact(search.ask(state, key)) for key in keys]
    for scores in proposed:
        assert not dominates([*measured, scores])[:-1, -1].any()
    # One change of a candidate at a time does not lead everywhere.
    assert sum(scores in front for scores in proposed) >= 3
