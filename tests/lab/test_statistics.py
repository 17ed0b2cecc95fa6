"""Intervals over seeds."""

import math

import numpy as np
import pytest
from scipy import stats

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab.statistics import (
    bootstrap_interval,
    geometric_interval,
    mean_interval,
)


def test_agrees_with_scipy():
    x = np.random.default_rng(0).normal(size=7)
    mean, half = mean_interval(x)
    low, high = stats.t.interval(0.95, 6, x.mean(), stats.sem(x))
    np.testing.assert_allclose([mean - half, mean + half], [low, high], rtol=1e-12)


def test_one_value_has_no_interval():
    mean, half = mean_interval([0.5])
    assert mean == 0.5 and math.isnan(half)


def test_covers_the_mean_as_often_as_it_says():
    draws = np.random.default_rng(1).normal(size=(2000, 3))
    covered = [abs(m) <= h for m, h in map(mean_interval, draws)]
    # Four standard errors of a frequency of 0.95 in 2000 draws.
    assert abs(np.mean(covered) - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 2000)


def test_geometric_interval():
    mean, low, high = geometric_interval(np.array([1.0, 100.0]), 0.95)
    assert mean == pytest.approx(10.0) and low * high == pytest.approx(100.0)
    assert np.isnan(geometric_interval(np.array([1.0, 0.0]), 0.95)).all()


def test_bootstrap_interval_covers_the_mean_about_as_often_as_it_says():
    draws = np.random.default_rng(1).normal(size=(400, 100))
    intervals = [
        bootstrap_interval(x, resamples=500, seed=i) for i, x in enumerate(draws)
    ]
    covered = np.mean([low <= 0 <= high for low, high in intervals])
    assert 0.9 < covered < 0.98


def test_a_bootstrap_over_seeds_is_refused():
    with pytest.raises(InputError, match="at least 100 values; got 5"):
        bootstrap_interval(np.ones(5))
