"""gaussian_expectations: error of the rule, derivatives, the edges of its domain."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.diagnostics.theory import gaussian_expectations as ge


def dense_mean(function, variance):
    u = np.linspace(-12, 12, 200001)
    weights = np.exp(-u * u / 2)
    return weights @ function(np.sqrt(variance) * u) / weights.sum()


@pytest.mark.parametrize(
    "variance, error", [(1, 3e-15), (4, 2e-14), (10, 4e-9), (25, 8e-6), (100, 3e-3)]
)
def test_the_documented_error_on_tanh(variance, error):
    got = ge.gaussian_mean(lambda z: jnp.tanh(z) ** 2, float(variance))
    assert abs(got - dense_mean(lambda z: np.tanh(z) ** 2, variance)) < error


@pytest.mark.parametrize("variance", [1.0, 4.0, 10.0])
def test_it_beats_gauss_hermite(variance):
    nodes, weights = np.polynomial.hermite_e.hermegauss(64)
    f = lambda z: np.tanh(z) ** 2
    hermite = weights @ f(np.sqrt(variance) * nodes) / weights.sum()
    exact = dense_mean(f, variance)
    ours = ge.gaussian_mean(lambda z: jnp.tanh(z) ** 2, variance)
    assert abs(ours - exact) < 1e-3 * abs(hermite - exact)


def test_moments_of_one_and_two_variables():
    variance = jnp.array([[0.0, 0.3], [2.0, 50.0]])
    fourth = ge.gaussian_mean(lambda z: z**4, variance)
    np.testing.assert_allclose(fourth, 3 * variance**2, rtol=1e-13)
    kaa, kbb, kab = 2.0, 0.5, -0.7
    square = lambda z: z**2
    pair = ge.gaussian_pair_mean(square, square, kaa, kbb, kab)
    np.testing.assert_allclose(pair, kaa * kbb + 2 * kab**2, rtol=1e-13)
    # E exp(a + b) = exp(var / 2), on functions that are not even.
    pair = ge.gaussian_pair_mean(jnp.exp, jnp.exp, kaa, kbb, kab)
    np.testing.assert_allclose(pair, np.exp((kaa + kbb + 2 * kab) / 2), rtol=1e-12)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_full_correlation_is_one_variable(sign):
    kaa, scale = 1.7, 1.3
    pair = ge.gaussian_pair_mean(
        jnp.tanh, jnp.cos, kaa, scale**2 * kaa, sign * scale * kaa
    )
    one = ge.gaussian_mean(lambda z: jnp.tanh(z) * jnp.cos(scale * z), kaa)
    np.testing.assert_allclose(pair, one, atol=1e-15)
    # A covariance that rounding has left too large is no NaN.
    pair = ge.gaussian_pair_mean(jnp.tanh, jnp.tanh, kaa, kaa, kaa * (1 + 1e-12))
    assert np.isfinite(pair)


@pytest.mark.full
def test_derivatives_equal_finite_differences():
    f = lambda k: ge.gaussian_mean(lambda z: jnp.tanh(z + 0.3), k)
    h = 1e-5
    for k in (0.1, 1.0, 5.0):
        numeric = (f(k + h) - f(k - h)) / (2 * h)
        np.testing.assert_allclose(jax.grad(f)(k), numeric, rtol=1e-8)
    g = lambda *k: ge.gaussian_pair_mean(jnp.tanh, jnp.sin, *k)
    at = (1.2, 0.6, 0.5)
    for i, slope in enumerate(jax.jit(jax.grad(g, (0, 1, 2)))(*at)):
        move = np.eye(3)[i] * h
        numeric = (g(*(at + move)) - g(*(at - move))) / (2 * h)
        np.testing.assert_allclose(slope, numeric, rtol=1e-8)


def test_derivatives_at_zero_variance():
    f = lambda k: ge.gaussian_mean(lambda z: jnp.tanh(z) ** 2, k)
    # E tanh(z)^2 = K - 2 K^2 + 17/3 K^3 - ...
    np.testing.assert_allclose([f(0.0), jax.grad(f)(0.0)], [0, 1], rtol=1e-14)
    np.testing.assert_allclose(jax.grad(jax.grad(f))(0.0), -4, rtol=1e-13)
    g = lambda *k: ge.gaussian_pair_mean(jnp.tanh, jnp.tanh, *k)
    np.testing.assert_allclose(jax.grad(g, (0, 1, 2))(0.0, 0.0, 0.0), [0, 0, 1], 1e-14)
    np.testing.assert_allclose(jax.grad(g, (0, 1, 2))(0.0, 2.0, 0.0)[:2], 0, atol=1e-16)


@pytest.mark.full
def test_second_derivative_at_correlation_one():
    g = lambda kab: ge.gaussian_pair_mean(jnp.tanh, jnp.tanh, 0.8, 0.8, kab)
    second = jax.grad(jax.grad(g))(0.8)
    curved = lambda z: -2 * jnp.tanh(z) * (1 - jnp.tanh(z) ** 2)
    expected = ge.gaussian_mean(lambda z: curved(z) ** 2, 0.8)
    np.testing.assert_allclose(second, expected, rtol=1e-12)


@pytest.mark.full
def test_float32_stays_float32():
    k = jnp.array([0.0, 1e-6, 1.0, 4.0], jnp.float32)
    f = lambda k: ge.gaussian_mean(lambda z: jnp.tanh(z) ** 2, k)
    assert f(k).dtype == jnp.float32
    np.testing.assert_allclose(f(k), f(k.astype(float)), rtol=1e-6)
    pair = lambda k: ge.gaussian_pair_mean(jnp.tanh, jnp.tanh, k, k, k / 2)
    assert pair(k).dtype == jnp.float32
    np.testing.assert_allclose(pair(k), pair(k.astype(float)), rtol=2e-6)
    assert ge.gaussian_mean(jnp.sin, k.astype(jnp.bfloat16)).dtype == jnp.float32


def test_a_negative_variance_is_visible():
    assert np.isnan(ge.gaussian_mean(jnp.cos, -1.0))
    for bad in ((-1.0, 1.0, 0.0), (1.0, -1.0, 0.0)):
        assert np.isnan(ge.gaussian_pair_mean(jnp.cos, jnp.cos, *bad))
