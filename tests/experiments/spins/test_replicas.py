"""Replica theory: limits, known temperatures, derivatives, order of free energies."""

import numpy as np
import pytest

from experiments.spins import replicas


def test_without_overlap_it_is_annealed_and_m_drops_out_where_overlaps_agree():
    for m in (0.2, 0.9):
        annealed = replicas.minus_beta_f(1.7, 4, 0.0, 0.0, m)
        assert annealed == pytest.approx(1.7**2 / 4 + np.log(2), abs=1e-13)
    values = [replicas.minus_beta_f(1.7, 3, 0.6, 0.6, m) for m in (0.1, 0.5, 1.0)]
    np.testing.assert_allclose(values, values[0], atol=1e-12)


@pytest.mark.parametrize(
    ("p", "dynamic", "static"),
    [(3, 0.6815, 0.651), (4, 0.678, 0.6165), (6, 0.7275, 0.603)],
)
def test_temperatures(p, dynamic, static):
    beta_above, beta_below = 1 / (dynamic + 7e-4), 1 / (dynamic - 7e-4)
    assert replicas.broken_overlap(beta_above, p, 1.0) == 0
    assert replicas.broken_overlap(beta_below, p, 1.0) > 0.5
    assert replicas.one_step_breaking(1 / (static + 7e-4), p).m == 1
    assert 0.99 < replicas.one_step_breaking(1 / (static - 7e-4), p).m < 1


def test_many_spins_are_the_random_energy_model():
    critical = 1 / (2 * np.log(2) ** 0.5)
    assert replicas.one_step_breaking(1 / (critical + 1e-3), 14).m == 1
    state = replicas.one_step_breaking(2 / critical, 14)
    assert state.m == pytest.approx(0.5, abs=0.01)
    assert state.f == pytest.approx(-(np.log(2) ** 0.5), abs=2e-3)


def test_the_energy_is_the_derivative_and_the_solution_stationary():
    beta, p, h = 2.0, 3, 1e-4
    for solve in (replicas.one_step_breaking, replicas.replica_symmetric):
        above, below = solve(beta + h, p), solve(beta - h, p)
        slope = ((beta + h) * above.f - (beta - h) * below.f) / (2 * h)
        assert solve(beta, p).energy == pytest.approx(slope, abs=1e-6)
    q, m, f, _ = replicas.one_step_breaking(beta, p)
    for dq, dm in ((1e-3, 0), (-1e-3, 0), (0, 1e-2), (0, -1e-2)):
        other = replicas.minus_beta_f(beta, p, q + dq, 0.0, m + dm) / -beta
        assert other < f + 1e-9 and f - other < 1e-4


def test_breaking_raises_the_free_energy_and_mends_the_entropy():
    beta = 4.0
    broken, symmetric = (
        solve(beta, 3)
        for solve in (replicas.one_step_breaking, replicas.replica_symmetric)
    )
    assert broken.f > symmetric.f
    entropies = [beta * (s.energy - s.f) for s in (broken, symmetric)]
    assert entropies[1] < 0 and entropies[1] < entropies[0]
