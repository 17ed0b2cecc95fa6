"""Mean field of diluted patterns: limits, symmetries, thresholds, Monte Carlo."""

import numpy as np
import pytest

from experiments.spins import diluted


def test_without_blanks_it_is_the_magnet():
    m = diluted.solution([0.5, 0, 0], 0.0, 1.5)
    assert m[0] == pytest.approx(np.tanh(1.5 * m[0]), abs=1e-12) and m[0] > 0.8
    np.testing.assert_allclose(m[1:], 0, atol=1e-12)


def test_nothing_is_retrieved_above_the_critical_temperature():
    for d in (0.3, 0.8):
        warm = diluted.solution(diluted.hierarchy(4, d), d, 1 / (1.2 * (1 - d)))
        cold = diluted.solution(diluted.hierarchy(4, d), d, 1 / (0.8 * (1 - d)))
        assert np.max(warm) < 1e-6 < 0.02 < np.max(cold)


def test_symmetries():
    m, d = np.array([0.3, 0.1, 0.25]), 0.4
    f = diluted.mean_field(m, d, 3.0)
    order, signs = [2, 0, 1], np.array([1, -1, -1])
    np.testing.assert_allclose(
        diluted.mean_field(m[order], d, 3.0), f[order], atol=1e-15
    )
    np.testing.assert_allclose(
        diluted.mean_field(m * signs, d, 3.0), f * signs, atol=1e-15
    )


def test_the_sum_is_the_mean_over_drawn_columns():
    rng = np.random.default_rng(0)
    m, d = np.array([0.4, 0.2]), 0.6
    xi = rng.choice([-1, 0, 1], (400_000, 2), p=[0.2, 0.6, 0.2])
    drawn = np.mean(xi * np.tanh(2 * xi @ m)[:, None], axis=0)
    np.testing.assert_allclose(diluted.mean_field(m, d, 2.0), drawn, atol=3e-3)


@pytest.mark.parametrize("patterns", [3, 5])
def test_the_hierarchy_is_a_fixed_point_up_to_its_threshold(patterns):
    for d in (0.2, 0.45, 0.49, 0.55, 0.7):
        m = diluted.hierarchy(patterns, d)
        stays = np.allclose(diluted.mean_field(m, d, np.inf), m, atol=1e-12)
        assert stays == (1 - 2 * d + d**patterns > 0), d


def test_zero_temperature_is_the_limit():
    m = diluted.hierarchy(4, 0.3)
    cold = diluted.mean_field(m, 0.3, 1e5)
    np.testing.assert_allclose(cold, diluted.mean_field(m, 0.3, np.inf), atol=1e-12)


def test_signals_are_equal_just_below_the_critical_temperature_beyond_two_thirds():
    start = np.array([0.12, 0.11, 0.1, 0.1, 0.09])
    for d, equal in ((0.64, False), (0.69, True)):
        m = diluted.solution(start, d, 1 / (0.9 * (1 - d)), steps=5000)
        assert (np.ptp(m) < 1e-3) == equal and m.max() > 0.01


def test_graded_signals_between():
    # Several graded states are fixed points; damping decides which is reached.
    m = diluted.solution(diluted.hierarchy(5, 0.7), 0.7, 1e3)
    wanted = [0.252, 0.216, 0.183, 0.148, 0.114]
    np.testing.assert_allclose(np.sort(m)[::-1], wanted, atol=0.01)
