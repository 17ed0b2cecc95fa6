"""marchenko_pastur: exact moments, the density, derivatives, drawn matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.diagnostics.theory import marchenko_pastur as mp

law_of = jax.jit(mp.marchenko_pastur, static_argnums=1)
RATIOS = [0.05, 0.5, 0.98, 1.0, 1.3, 6.0]


def moments(alpha):
    """First five moments (Narayana numbers)."""
    a = alpha
    return np.array(
        [
            1,
            a,
            a + a**2,
            a + 3 * a**2 + a**3,
            a + 6 * a**2 + 6 * a**3 + a**4,
            a + 10 * a**2 + 20 * a**3 + 10 * a**4 + a**5,
        ]
    )


@pytest.mark.parametrize("alpha", RATIOS)
@pytest.mark.parametrize("nodes", [3, 40])  # three nodes are exact up to degree five
def test_moments_are_exact(alpha, nodes):
    law = law_of(alpha, nodes)
    got = [law.weights @ law.eigenvalues**k for k in range(6)]
    np.testing.assert_allclose(got, moments(alpha), rtol=1e-12)
    assert np.all(law.weights >= 0) and np.all(law.eigenvalues >= 0)


def test_two_nodes_are_not_exact_at_degree_four():
    law = law_of(0.7, 2)
    got = [law.weights @ law.eigenvalues**k for k in range(5)]
    np.testing.assert_allclose(got[:4], moments(0.7)[:4], rtol=1e-12)
    assert abs(got[4] / moments(0.7)[4] - 1) > 1e-2


@pytest.mark.full(plain=["1.0"])
@pytest.mark.parametrize("alpha", RATIOS)
def test_the_rule_integrates_the_density(alpha):
    low, high = map(float, mp.marchenko_pastur_edges(alpha))
    law = law_of(alpha)
    atom = max(0.0, 1 - alpha)
    for f in (lambda x: np.exp(-2 * x), lambda x: np.cos(3 * x), lambda x: 1 + 0 * x):
        # lambda = a + b cos(theta) removes the roots at the edges.
        def integrand(theta, f=f):
            x = (low + high) / 2 + (high - low) / 2 * np.cos(theta)
            density = float(mp.marchenko_pastur_density(x, alpha))
            return density * f(x) * (high - low) / 2 * np.sin(theta)

        continuous, _ = integrate.quad(integrand, 0, np.pi, limit=300, epsabs=1e-10)
        expected = continuous + atom * f(0.0)
        got = law.weights @ f(np.asarray(law.eigenvalues))
        np.testing.assert_allclose(got, expected, rtol=1e-7)


def test_the_atom():
    law = law_of(0.3, 64)
    assert law.eigenvalues[-1] < 1e-20
    np.testing.assert_allclose(law.weights[-1], 0.7, rtol=1e-12)
    low, _ = mp.marchenko_pastur_edges(0.3)
    assert law.eigenvalues[-2] > low


@pytest.mark.parametrize("time", [0.0, 1.0, 100.0, 256**2 / 40])
def test_decay_at_equal_numbers(time):
    # P = N: the mean of exp(-lambda t) is exp(-2t) (I0(2t) + I1(2t)).
    law = law_of(1.0)
    got = law.weights @ jnp.exp(-law.eigenvalues * time)
    exact = special.ive(0, 2 * time) + special.ive(1, 2 * time)
    np.testing.assert_allclose(got, exact, rtol=1e-12)


def test_inverse_moment():
    for alpha in (1.2, 2.0, 5.0):
        law = law_of(alpha)
        inverse = law.weights @ (1 / law.eigenvalues)
        np.testing.assert_allclose(inverse, 1 / (alpha - 1), rtol=1e-10)


@pytest.mark.full
def test_density_at_and_beyond_the_edges():
    low, high = mp.marchenko_pastur_edges(0.5)
    at = jnp.stack([0.0 * low, low - 1e-3, low, high, high + 1e-3, 0 * low - 1])
    assert np.array_equal(mp.marchenko_pastur_density(at, 0.5), np.zeros(6))
    slope = jax.grad(lambda x: mp.marchenko_pastur_density(x, 1.0))
    assert np.isfinite(slope(0.0)) and np.isfinite(slope(4.0)) and slope(1.0) < 0


def mean_decay(alpha):
    law = law_of(alpha, 64)
    return law.weights @ jnp.exp(-3 * law.eigenvalues)


@pytest.mark.full(plain=["1.0", "2.0"])
@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_derivative_in_the_ratio(alpha):
    h = 1e-5
    numeric = (mean_decay(alpha + h) - mean_decay(alpha - h)) / (2 * h)
    np.testing.assert_allclose(jax.jit(jax.grad(mean_decay))(alpha), numeric, rtol=1e-8)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_float32(alpha):
    law = law_of(jnp.float32(alpha))
    wide = law_of(alpha)
    assert law.eigenvalues.dtype == law.weights.dtype == jnp.float32
    np.testing.assert_allclose(law.eigenvalues, wide.eigenvalues, rtol=1e-4, atol=1e-12)
    np.testing.assert_allclose(law.weights, wide.weights, atol=1e-6)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_drawn_matrices(alpha):
    features, draws = 20, 2000
    rng = np.random.default_rng(3)
    shape = (draws, features, int(alpha * features))
    data = rng.normal(size=shape) / np.sqrt(features)
    eigenvalues = np.linalg.eigvalsh(data @ data.swapaxes(1, 2))

    def check(values, expected):
        means = values.mean(1)
        error = means.std(ddof=1) / np.sqrt(draws)
        return abs(means.mean() - expected) <= 4 * error

    assert check(eigenvalues, alpha)
    # At finite N the second moment is alpha + alpha^2 + alpha / N exactly.
    law = moments(alpha)[2]
    assert check(eigenvalues**2, law + alpha / features)
    assert not check(eigenvalues**2, law)


def test_bad_arguments():
    for bad in (0.0, -1.0, float("nan"), float("inf")):
        words = "alpha must be positive and finite; got"
        with pytest.raises(InputError, match=words):
            mp.marchenko_pastur(bad)
        with pytest.raises(InputError, match=words):
            mp.marchenko_pastur_density(1.0, bad)
    with pytest.raises(InputError, match="nodes must be a whole number"):
        mp.marchenko_pastur(1.0, 0)
    with pytest.raises(InputError, match=r"alpha must be a scalar; got shape \(2,\)"):
        mp.marchenko_pastur(jnp.ones(2))
