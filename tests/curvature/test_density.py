"""Spectral densities: parity, mass, moments, margins, exhausted spaces."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import dense_hessian

from jaxopt_lab import curvature
from jaxopt_lab.core.errors import InputError

CASES = dense_hessian.CASES
KEY = jax.random.key(0)


def recorded_probes(p):
    """Nodes and weights of the recorded start vectors."""
    nodes, weights = [], []
    for probe in p.arrays["hutchinson/probes"][:4]:
        start = p.tree(probe, jnp.float64)
        steps = p.arrays["slq/ritz"].shape[1]
        r = curvature.lanczos(p.hessian(), KEY, steps, start=start)
        nodes.append(r.values)
        weights.append(r.weights)
    return np.array(nodes), np.array(weights)


@pytest.mark.full(plain=["conv_init"])
@pytest.mark.parametrize("name", CASES)
def test_parity(name):
    p = dense_hessian.load(name)
    nodes, weights = recorded_probes(p)
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-12)
    grid, sigma2 = p.arrays["slq/grid"], float(p.arrays["slq/sigma2"])
    density = curvature.broadened(nodes, weights, grid, sigma2).mean(0)
    np.testing.assert_allclose(density, p.arrays["slq/density"], rtol=0, atol=1e-6)
    ends = p.arrays["slq/ritz"][:, [0, -1]]
    np.testing.assert_allclose(nodes[:, [0, -1]], ends, rtol=0, atol=1e-8)
    criteria = curvature.lla_criteria(nodes, weights)
    np.testing.assert_allclose(criteria.r_e, p.arrays["criteria/re"], rtol=1e-9)
    np.testing.assert_allclose(criteria.k_hn, p.arrays["criteria/Kh05"], rtol=1e-5)
    assert (criteria.num_steps, criteria.num_probes) == (nodes.shape[1], 4)
    exact = p.arrays["hessian/eigenvalues"]
    direct = curvature.broadened(
        exact, np.full(len(exact), 1 / len(exact)), grid, sigma2
    )
    np.testing.assert_allclose(direct, p.arrays["slq/density_exact"], rtol=1e-9)


@pytest.mark.full
@pytest.mark.parametrize("traced", [False, True], ids=["host", "traced"])
@pytest.mark.parametrize("dtype", [jnp.float64, jnp.float32])
def test_it_is_near_the_exact_density(dtype, traced):
    p = dense_hessian.load("mlp_init", dtype)
    found = curvature.spectral_density(
        p.hessian(), KEY, num_steps=40, num_probes=12, traced=traced
    )
    assert found.nodes.shape == (12, 40) and found.matvecs == 12 * 40
    exact = p.arrays["hessian/eigenvalues"]
    even = np.full(len(exact), 1 / len(exact))
    expected = curvature.broadened(exact, even, found.grid, found.sigma2)
    step = found.grid[1] - found.grid[0]
    assert abs(np.sum(found.density) * step - 1) < 1e-4
    assert np.sum(np.abs(found.density - expected)) * step < 0.15
    off = np.abs(found.density - expected) > 5 * found.standard_error + 1e-2
    assert np.mean(off) < 0.05
    for (value, residual), wanted in (
        (found.lower, exact[0]),
        (found.upper, exact[-1]),
    ):
        assert abs(value - wanted) <= residual + 1e-5


def test_moments_are_those_of_the_probes():
    # Gauss quadrature: k nodes have the first 2k moments of z^T H^j z exactly.
    p = dense_hessian.load("mlp_init")
    matrix = dense_hessian.dense(p.hessian())
    start = p.arrays["hutchinson/probes"][0].astype(float)
    r = curvature.lanczos(p.hessian(), KEY, 3, start=p.tree(start, jnp.float64))
    z = start / np.linalg.norm(start)
    for power in range(6):
        expected = z @ np.linalg.matrix_power(matrix, power) @ z
        np.testing.assert_allclose(r.weights @ r.values**power, expected, rtol=1e-9)


@pytest.mark.full
def test_grid_and_margin():
    h = dense_hessian.diagonal(np.linspace(1e-9, 3e-9, 30))
    found = curvature.spectral_density(h, KEY, num_steps=30, num_probes=2, margin=0.5)
    low, high = found.nodes.min(), found.nodes.max()
    np.testing.assert_allclose(found.grid[0], low - 0.5 * (high - low), rtol=1e-9)
    np.testing.assert_allclose(found.grid[-1], high + 0.5 * (high - low), rtol=1e-9)
    np.testing.assert_allclose(found.sigma2, ((high - low) / 100) ** 2, rtol=1e-9)
    grid = np.array([2e-9, 1e-9])
    given = curvature.spectral_density(
        h, KEY, num_steps=30, num_probes=2, grid=grid, sigma2=1e-20
    )
    np.testing.assert_array_equal(given.grid, grid)
    assert given.sigma2 == 1e-20
    # Half of the mass lies outside of half the range, and stays there.
    half = curvature.spectral_density(
        h, KEY, num_steps=30, num_probes=8, grid=np.linspace(0, 2e-9, 2001)
    )
    mass = np.sum(half.density) * (half.grid[1] - half.grid[0])
    assert 0.35 < mass < 0.65


@pytest.mark.full(plain=["values0-traced", "values1-host", "values1-traced"])
@pytest.mark.parametrize("traced", [False, True], ids=["host", "traced"])
@pytest.mark.parametrize("values", [np.zeros(9), np.full(9, 2.0)])
def test_one_eigenvalue(values, traced):
    h = dense_hessian.diagonal(values)
    found = curvature.spectral_density(h, KEY, num_steps=6, num_probes=3, traced=traced)
    assert found.matvecs == 3
    np.testing.assert_allclose(found.nodes, values[0], atol=1e-14)
    np.testing.assert_allclose(found.weights.sum(1), 1)
    at = found.grid[np.argmax(found.density)]
    np.testing.assert_allclose(at, values[0], atol=1e-2)
    assert found.lower[0] == found.nodes.min()


@pytest.mark.full
def test_spaces_that_end_at_different_steps():
    values = np.array([3.0, 1.0] + 10 * [0.0])
    found = curvature.spectral_density(
        dense_hessian.diagonal(values), KEY, num_steps=8, num_probes=6
    )
    np.testing.assert_allclose(found.weights.sum(1), 1, rtol=1e-12)
    mean = np.sum(found.nodes * found.weights) / 6
    np.testing.assert_allclose(mean * 12, 4, rtol=1e-12)


@pytest.mark.full
def test_standard_errors():
    p = dense_hessian.load("mlp_trained")
    one = curvature.spectral_density(p.hessian(), KEY, num_steps=10, num_probes=1)
    assert np.all(np.isnan(one.standard_error))
    few = curvature.spectral_density(p.hessian(), KEY, num_steps=10, num_probes=5)
    each = curvature.broadened(few.nodes, few.weights, few.grid, few.sigma2)
    np.testing.assert_allclose(few.density, each.mean(0), rtol=1e-12)
    np.testing.assert_allclose(
        few.standard_error, each.std(0, ddof=1) / np.sqrt(5), rtol=1e-12
    )


@pytest.mark.parametrize(
    "options, words",
    [
        ({"num_probes": 0}, "num_probes must be a whole number of at least 1; got 0"),
        ({"num_steps": 0}, "num_steps must be a whole number of at least 1; got 0"),
        ({"num_points": 0}, "num_points must be a whole number of at least 1; got 0"),
        ({"margin": -0.1}, "margin must be at least 0; got -0.1"),
        ({"sigma2": 0.0}, "sigma2 must be positive; got 0.0"),
        ({"probe": "uniform"}, "unknown probe 'uniform'"),
    ],
)
def test_bad_options(options, words):
    h = curvature.linear_operator(lambda v: v, jnp.ones(3))
    with pytest.raises(InputError, match=words):
        curvature.spectral_density(h, KEY, **options)
