"""Sinkhorn's scaling against the plain form, its sums, and its derivative."""

import jax
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.sinkhorn import sinkhorn

RNG = np.random.default_rng(0)
C = RNG.normal(size=(6, 3))
C = C / np.linalg.norm(C, axis=1, keepdims=True)
SCORES = C @ C.T
COSTS = np.cos(np.arange(36.0)).reshape(6, 6)


def plainly(scores, eta, iterations):
    kernel = np.exp(scores / eta)
    for _ in range(iterations):
        kernel = kernel / kernel.sum(axis=1, keepdims=True)
        kernel = kernel / kernel.sum(axis=0, keepdims=True)
    return kernel


@jax.jit
def scaled(scores, eta, where):
    """A few iterations, many, the symmetric form, and the derivative of the first."""
    few = lambda s: sinkhorn(s, eta=eta, iterations=3, where=where)
    slope = jax.grad(lambda s: (few(s) * COSTS).sum())(scores)
    many = sinkhorn(scores, eta=eta, iterations=400, where=where)
    one = sinkhorn(scores, eta=eta, iterations=50, symmetric=True, where=where)
    return few(scores), many, one, slope


ALL = np.ones(6)


def test_it_is_the_plain_scaling_with_its_derivative():
    few, many, _, slope = scaled(SCORES, 0.5, ALL)
    np.testing.assert_allclose(few, plainly(SCORES, 0.5, 3), rtol=1e-12)
    np.testing.assert_allclose(few.sum(axis=0), 1, rtol=1e-12)
    np.testing.assert_allclose(many.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(many, many.T, atol=1e-6)
    way = RNG.normal(size=(6, 6))
    h = 1e-5
    ends = [plainly(SCORES + s * h * way, 0.5, 3) for s in (1, -1)]
    rise = np.sum((ends[0] - ends[1]) * COSTS) / (2 * h)
    np.testing.assert_allclose(np.sum(slope * way), rise, rtol=1e-7)
    moved = SCORES + RNG.normal(size=(6, 1)) + RNG.normal(size=6)
    np.testing.assert_allclose(scaled(moved, 0.5, ALL)[1], many, atol=1e-6)


def test_the_symmetric_form_is_the_limit_after_few_iterations():
    limit = plainly(SCORES, 0.5, 5000)
    one = scaled(SCORES, 0.5, ALL)[2]
    np.testing.assert_allclose(one, limit, rtol=1e-9)
    np.testing.assert_allclose(one, one.T, rtol=1e-14)
    # 400 iterations of the two in turn are not enough of so sharp a kernel.
    _, many, one, _ = scaled(SCORES, 0.1, ALL)
    assert np.abs(many.sum(axis=1) - 1).max() > 1e-6
    np.testing.assert_allclose(one.sum(axis=1), 1, rtol=1e-12)


def test_uniform_at_infinity_and_finite_at_large_scores():
    few, _, one, slope = scaled(SCORES, np.inf, ALL)
    np.testing.assert_allclose([few, one], 1 / 6, rtol=1e-14)
    assert not np.any(slope)
    # The kernel itself would overflow.
    far = scaled(1e4 * SCORES, 0.2, ALL)
    assert all(np.all(np.isfinite(x)) for x in far)


def test_a_dropped_row_is_its_own_and_may_hold_anything():
    here = np.array([1.0, 1, 0, 1, 1, 0])
    kept = here != 0
    holes = np.where(kept[:, None] & kept[None], SCORES, np.nan)
    few, _, one, slope = scaled(holes, 0.2, here)
    inner = plainly(SCORES[np.ix_(kept, kept)], 0.2, 3)
    np.testing.assert_allclose(few[np.ix_(kept, kept)], inner, rtol=1e-12)
    np.testing.assert_array_equal(few[~kept], np.eye(6)[~kept])
    np.testing.assert_array_equal(one[~kept], np.eye(6)[~kept])
    assert np.all(np.isfinite(slope)) and not np.any(slope[~kept])


@pytest.mark.parametrize(
    "call, words",
    [
        (
            lambda: sinkhorn(SCORES[:2]),
            r"\(n, n\); got float64 of shape \(2, 6\)",
        ),
        (lambda: sinkhorn(SCORES, eta=0.0), "eta must be above 0; got 0.0"),
        (lambda: sinkhorn(SCORES, iterations=0), "iterations must be a whole number"),
        (lambda: sinkhorn(SCORES, where=ALL[:2]), r"where must have shape \(6,\)"),
    ],
)
def test_what_it_refuses(call, words):
    with pytest.raises(InputError, match=words):
        call()
