"""Kernel ridge and ensembles of networks, and the search that they guide."""

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
    fit_kernel_ridge,
    fit_network_ensemble,
    network_ensemble,
    predict_kernel_ridge,
    predict_network_ensemble,
    predictor_guided,
    random_search,
    run,
)

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(9, 3)), RNG.normal(size=9)
NEW = RNG.normal(size=(5, 3))


def test_without_a_ridge_it_interpolates_and_is_sure():
    fit = fit_kernel_ridge(X, Y, ridge=1e-10)
    mean, deviation = predict_kernel_ridge(fit, X)
    np.testing.assert_allclose(mean, Y, atol=1e-7)
    assert deviation.max() < 1e-4
    assert predict_kernel_ridge(fit, X + 50)[1] == pytest.approx(Y.std())


def test_a_linear_kernel_is_ridge_regression():
    fit = fit_kernel_ridge(X, Y, ridge=0.3, kernel="linear")
    w = np.linalg.solve(X.T @ X + 0.3 * np.eye(3), X.T @ (Y - Y.mean()))
    mean, deviation = predict_kernel_ridge(fit, NEW)
    np.testing.assert_allclose(mean, NEW @ w + Y.mean(), rtol=1e-10)
    spread = np.linalg.inv(X.T @ X / 0.3 + np.eye(3))
    want = Y.std() * np.sqrt(np.einsum("ni,ij,nj->n", NEW, spread, NEW))
    np.testing.assert_allclose(deviation, want, rtol=1e-9)


def test_it_beats_random_search_with_few_scores():
    space = {"x": Interval(-1.0, 1.0), "n": Integers(0, 8), "a": Choice(tuple("pqr"))}
    score = lambda c: -(c["x"] ** 2) - (c["n"] / 8 - 0.5) ** 2 - (c["a"] != "q")
    gaps = []
    for seed in range(5):
        key = jax.random.key(seed)
        ways = (predictor_guided(space, warmup=6), random_search(space))
        guided, drawn = (run(search, score, key, 30)["score"] for search in ways)
        gaps.append(guided - drawn)
        assert guided > -0.01
    assert np.mean(gaps) > 0


def test_it_goes_on_from_text_and_bears_what_is_not_finite():
    space = {"x": Interval(0.0, 1.0), "a": Choice(("p", "q"))}
    search = predictor_guided(space, warmup=2, proposals=8)
    keys = jax.random.split(jax.random.key(3), 30)
    scores = [math.nan, -math.inf, math.nan, 1.0, math.inf, -2.0, math.nan, 3.0]
    state = search.init()
    for key, score in zip(keys[:8], scores, strict=True):
        again = json.loads(json.dumps(state))
        candidate = search.ask(state, key)
        assert search.ask(again, key) == candidate
        state = search.tell(state, candidate, score)
    assert state["told"] == len(state["seen"]) == 8


def test_no_candidate_is_asked_for_twice_while_others_are_left():
    space = {"n": Integers(0, 9)}
    state = run(
        predictor_guided(space, warmup=1, proposals=64),
        lambda c: -float(c["n"]),
        jax.random.key(0),
        10,
    )
    assert len({m["candidate"]["n"] for m in state["seen"]}) == 10


def test_networks_follow_the_derivative_of_their_objective():
    rng = np.random.default_rng(1)
    weights = [rng.normal(size=s) for s in ((2, 3, 4), (2, 4), (2, 4), (2,))]
    often = rng.integers(0, 3, (2, 9))
    value = lambda w: network_ensemble._objective(w, X, Y, often, 0.1)[0]
    slopes = network_ensemble._objective(weights, X, Y, often, 0.1)[1]
    for i, slope in enumerate(slopes):
        direction, sides = rng.normal(size=slope.shape), []
        for step in (1e-5, -1e-5):
            moved = [*weights]
            moved[i] = weights[i] + step * direction
            sides.append(value(moved))
        want = (sides[0] - sides[1]) / 2e-5
        np.testing.assert_allclose(np.sum(slope * direction), want, rtol=1e-7)


def test_networks_agree_on_what_they_saw_and_not_far_away():
    make = lambda n, y=Y: fit_network_ensemble(X, y, np.random.default_rng(n))
    fit, again = make(0), make(0)
    for a, b in zip(fit, again, strict=True):
        np.testing.assert_array_equal(a, b)
    near, far = (predict_network_ensemble(fit, x)[1] for x in (X, 4 * X))
    assert far.mean() > 1.5 * near.mean()
    # Targets by another scale are forecast by the same scale.
    mean, deviation = predict_network_ensemble(make(0, 10 * Y + 3), NEW)
    plain = predict_network_ensemble(fit, NEW)
    np.testing.assert_allclose(mean, 10 * plain[0] + 3, rtol=1e-8)
    np.testing.assert_allclose(deviation, 10 * plain[1], rtol=1e-8)


def test_networks_guide_a_search():
    space = {"x": Interval(-1.0, 1.0), "n": Integers(0, 8), "a": Choice(tuple("pqr"))}
    score = lambda c: -(c["x"] ** 2) - (c["n"] / 8 - 0.5) ** 2 - (c["a"] != "q")
    search = predictor_guided(space, warmup=6, predictor="network")
    assert run(search, score, jax.random.key(0), 25)["score"] > -0.05


def test_bad_input():
    with pytest.raises(InputError, match="n finite numbers"):
        fit_network_ensemble(X, Y[:3], RNG)
    with pytest.raises(InputError, match="unknown predictor 'forest'"):
        predictor_guided({"n": Integers(0, 9)}, predictor="forest")
    with pytest.raises(InputError, match="n finite numbers"):
        fit_kernel_ridge(X, Y[:3])
    with pytest.raises(InputError, match="ridge must be above 0"):
        fit_kernel_ridge(X, Y, ridge=0.0)
    with pytest.raises(InputError, match="warmup must be a whole number"):
        predictor_guided({"n": Integers(0, 9)}, warmup=0)
