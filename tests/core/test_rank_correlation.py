"""Kendall's tau and the ROC area against the count of all pairs."""

import math

import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.rank_correlation import kendall_tau, roc_area


def by_pairs(a, b):
    total, left, right = 0.0, 0, 0
    for i in range(len(a)):
        for j in range(i):
            x, y = np.sign(a[i] - a[j]), np.sign(b[i] - b[j])
            total, left, right = total + x * y, left + abs(x), right + abs(y)
    return total / math.sqrt(left * right)


@pytest.mark.parametrize("values", [3, 8, 1000])
def test_it_counts_pairs_with_ties(values):
    rng = np.random.default_rng(values)
    for n in (2, 3, 7, 40):
        a, b = np.arange(n) % values, rng.integers(0, values, n)
        if len(set(a)) > 1 and len(set(b)) > 1:
            assert math.isclose(kendall_tau(a, b), by_pairs(a, b), rel_tol=1e-12)


def test_a_monotone_transform_has_tau_one():
    a = np.random.default_rng(0).normal(size=50)
    assert kendall_tau(a, np.exp(3 * a)) == 1.0 and kendall_tau(a, -a) == -1.0


def test_what_has_no_order():
    assert math.isnan(kendall_tau([1, 1], [1, 2]))
    assert math.isnan(kendall_tau([1, math.nan], [1, 2]))
    with pytest.raises(InputError, match="of one length, at least 2"):
        kendall_tau([1], [2])


@pytest.mark.parametrize("values", [2, 4, 1000])
def test_the_area_is_the_share_of_pairs_in_order(values):
    rng = np.random.default_rng(values)
    low, high = rng.integers(0, values, 9), rng.integers(1, values + 1, 7)
    pairs = [(b > a) + 0.5 * (a == b) for a in low for b in high]
    # Sums of halves are exact: one rounding, that of the quotient.
    assert roc_area(low, high) == np.mean(pairs)
    assert roc_area(high, low) == pytest.approx(1 - np.mean(pairs), abs=1e-15)


def test_what_has_no_area():
    assert roc_area([1.0, 1.0], [1.0]) == 0.5
    assert math.isnan(roc_area([0.0, math.nan], [1.0]))
    assert math.isnan(roc_area([0.0], [1.0, math.nan]))
    for low, high in (([], [1.0]), ([1.0], []), ([[1.0]], [1.0])):
        with pytest.raises(InputError, match="two lists of scores"):
            roc_area(low, high)
