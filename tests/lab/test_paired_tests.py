"""Paired tests and Holm's procedure, by scipy and by their error rates."""

import math

import numpy as np
import pytest
from scipy import stats

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab.paired_tests import FEWEST, all_pairs, critical, holm, p_values

DRAWS = 4000
KINDS = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "exponential": lambda rng, shape: rng.exponential(size=shape),
    "log-normal": lambda rng, shape: rng.lognormal(0, 0.5, size=shape),
    "bounded": lambda rng, shape: rng.beta(8, 2, size=shape),
    "answers": lambda rng, shape: rng.binomial(360, 0.97, size=shape) / 360,
}
# Standard deviations, from the distributions' formulas.
SPREAD = {
    "normal": 1.0,
    "exponential": 1.0,
    "log-normal": math.sqrt(math.expm1(0.25) * math.exp(0.25)),
    "bounded": math.sqrt(0.16 / 11),
    "answers": math.sqrt(0.97 * 0.03 / 360),
}


@pytest.mark.parametrize("n", [2, 3, 5, 10, 100])
def test_probabilities_and_quantiles_are_those_of_scipy_to_the_bit(n):
    rng = np.random.default_rng(n)
    distances = np.append(rng.lognormal(0, 3, size=500), [1e-300, 1e300])
    expected = 2 * stats.t.sf(distances / 0.7, n - 1)
    np.testing.assert_array_equal(p_values(distances, 0.7, n), expected)
    assert p_values(1.0, 0.0, n) == 0 and p_values(0.0, 0.0, n) == 1
    levels = np.append(rng.uniform(size=500), [1e-15, 0.05, 1.0])
    expected = stats.t.ppf(1 - levels / 2, n - 1)
    np.testing.assert_array_equal(critical(n, levels), expected)


def beyond(share):
    """Four standard errors of a share among the draws."""
    return 4 * math.sqrt(share * (1 - share) / DRAWS)


def draw(kind, methods, seeds, *, draws=DRAWS, salt=0):
    rng = np.random.default_rng([salt, seeds, *kind.encode()])
    seed_effect = rng.normal(size=(draws, 1, seeds))
    own = KINDS[kind](rng, (draws, methods, seeds))
    return own + seed_effect * SPREAD[kind]


@pytest.mark.parametrize("seeds", [5, 10])
@pytest.mark.parametrize("kind", KINDS)
def test_the_interval_of_a_difference_covers_it(kind, seeds):
    found = all_pairs(draw(kind, 2, seeds))
    covered = np.mean((found.low <= 0) & (found.high >= 0))
    assert 0.93 < covered < 0.97


@pytest.mark.parametrize(("seeds", "least"), [(5, 0.9), (10, 0.99)])
@pytest.mark.parametrize("kind", KINDS)
def test_two_standard_deviations_are_found(kind, seeds, least):
    scores = draw(kind, 2, seeds)
    scores[:, 0] += 2 * math.sqrt(2) * SPREAD[kind]
    if kind == "exponential" and seeds == 5:
        least = 0.88  # heavy tails: 88.8 % in 20,000 draws, see the module
    found = all_pairs(scores)
    right = found.different & (found.mean > 0)
    assert np.mean(right) >= least - beyond(least) / 2


@pytest.mark.parametrize("seeds", [5, 10])
@pytest.mark.parametrize("kind", KINDS)
def test_ten_equal_methods_are_seldom_called_different(kind, seeds):
    found = all_pairs(draw(kind, 10, seeds))
    alarms = np.mean(found.different.any(axis=-1))
    assert alarms <= 0.05 + beyond(0.05)


def test_what_many_pairs_cost():
    """The documented shares for one better method among ten."""
    for seeds, low, high in ((5, 0.10, 0.17), (10, 0.83, 0.92)):
        scores = draw("normal", 10, seeds)
        scores[:, 0] += 2 * math.sqrt(2)
        assert low < np.mean(all_pairs(scores).different[:, 0]) < high


def test_the_difference_is_paired():
    rng = np.random.default_rng(3)
    shared = 10 * rng.normal(size=8)
    scores = np.stack([shared + 0.5, shared]) + 0.1 * rng.normal(size=(2, 8))
    found = all_pairs(scores)
    reference = stats.ttest_rel(scores[0], scores[1])
    low, high = reference.confidence_interval(0.95)
    np.testing.assert_allclose(found.p[0], reference.pvalue, rtol=1e-9)
    np.testing.assert_allclose([found.low[0], found.high[0]], [low, high], rtol=1e-9)
    assert found.different[0]


def test_the_smallest_difference_decides():
    scores = draw("normal", 4, 6, draws=300, salt=5)
    scores[:, 0] += 3.0
    found = all_pairs(scores)
    level = holm(found.p).level[:, None]
    assert np.array_equal(np.abs(found.mean) > found.smallest, found.p < level)
    # What is not shown is smaller; so the first of them would have been found there.
    assert not np.any(~found.different & (found.p <= level) & (found.p < 0.05 / 6))
    assert found.different.any() and not found.different.all()


def test_holm_is_the_loop():
    rng = np.random.default_rng(4)
    ps = rng.uniform(size=(200, 7)) ** 4
    found = holm(ps)
    for row, rejected, level in zip(ps, *found, strict=True):
        expected, needed = set(), 0.05
        for rank, place in enumerate(np.argsort(row)):
            if row[place] > 0.05 / (7 - rank):
                needed = 0.05 / (7 - rank)
                break
            expected.add(int(place))
        assert set(np.flatnonzero(rejected)) == expected
        assert level == pytest.approx(needed)


def test_no_test_and_one():
    assert holm(np.zeros((0,))).level == 0.05
    assert holm(np.array([0.05])).rejected.all()


def test_few_seeds_and_numbers_that_are_not_finite_decide_nothing():
    clear = np.stack([np.ones(FEWEST) + 1e-3 * np.arange(FEWEST), np.zeros(FEWEST)])
    assert all_pairs(clear).different.all()
    few = all_pairs(clear[:, :4])
    assert not few.different.any() and np.isnan(few.smallest).all()
    assert np.isfinite(few.low).all()
    single = all_pairs(clear[:, :1])
    assert np.isnan([*single.low, *single.high]).all() and single.p == 1
    for bad in (np.nan, np.inf):
        broken = clear.copy()
        broken[0, 2] = bad
        assert not all_pairs(broken).different.any()


def test_equal_scores():
    same = np.tile([0.9, 0.8, 0.95, 0.85, 0.9], (2, 1))
    found = all_pairs(same)
    assert found.p == 1 and not found.different and found.mean == 0
    assert p_values(0.1, 0.0, 5) == 0
    assert math.isnan(critical(1))


def test_one_method_is_no_comparison():
    with pytest.raises(InputError, match="at least two methods"):
        all_pairs(np.ones((1, 5)))
