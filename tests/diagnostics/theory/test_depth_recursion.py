"""depth_recursion: against ensembles of networks, known limits, derivatives."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.diagnostics.theory import depth_recursion as dr
from jaxopt_lab.diagnostics.theory.wide_networks import simulate_kernels

DEPTH = 6
INPUTS = np.random.default_rng(0).normal(size=(2, 10)) * np.array([[1.0], [0.6]])
# Activation, weight variance, bias variance: critical, ordered, chaotic, with biases.
CASES = [
    ("linear", 1.0, 0.0),
    ("linear", 0.8, 0.1),
    ("relu", 2.0, 0.0),
    ("relu", 1.6, 0.2),
    ("tanh", 1.0, 0.0),
    ("tanh", 0.7, 0.05),
    ("tanh", 2.5, 0.0),
]


@functools.cache
def simulated(activation, c_w, c_b, width=128, networks=150):
    key = jax.random.key(7)
    run = jax.jit(
        lambda key: simulate_kernels(
            key,
            jnp.asarray(INPUTS),
            activation,
            DEPTH,
            width=width,
            networks=networks,
            c_w=c_w,
            c_b=c_b,
        )
    )
    return np.asarray(run(key))


def mean_and_error(draws):
    return draws.mean(0), draws.std(0, ddof=1) / np.sqrt(len(draws))


def theory(activation, c_w, c_b):
    first = dr.input_kernel(INPUTS, c_w=c_w, c_b=c_b)
    return dr.kernels_through_depth(first, activation, DEPTH, c_w=c_w, c_b=c_b)


@pytest.mark.full
@pytest.mark.parametrize("activation, c_w, c_b", CASES)
def test_ensembles_of_networks(activation, c_w, c_b):
    mean, error = mean_and_error(simulated(activation, c_w, c_b))
    assert np.all(np.abs(mean - theory(activation, c_w, c_b)) <= 4 * error)


@pytest.mark.full
@pytest.mark.parametrize("activation, c_w, c_b", CASES)
def test_the_ensembles_would_show_a_wrong_recursion(activation, c_w, c_b):
    mean, error = mean_and_error(simulated(activation, c_w, c_b))
    wrong = theory(activation, 1.1 * c_w, c_b)
    assert np.abs(mean - wrong)[-1, 0, 0] > 4 * error[-1, 0, 0]


@pytest.mark.full
@pytest.mark.parametrize("activation, c_w", [("tanh", 1.5), ("relu", 2.0)])
def test_finite_width(activation, c_w):
    width = 24
    draws = simulated(activation, c_w, 0.0, width, 6000)[:, :, 0, 0]
    first = dr.input_kernel(INPUTS[:1], c_w=c_w)[0, 0]
    mean, error = mean_and_error(draws)
    got = dr.finite_width(first, activation, DEPTH, width=width, c_w=c_w)
    assert np.all(np.abs(mean - got.mean) <= 4 * error)
    wide = dr.variances_through_depth(first, activation, DEPTH, c_w=c_w)
    if activation == "relu":  # the mean is exact at every width
        np.testing.assert_allclose(got.mean, wide, rtol=1e-14)
    else:  # the correction is seen, not only allowed
        assert np.abs(mean - wide)[-1] > 4 * error[-1]
    squares, spread = mean_and_error((draws - mean) ** 2)
    # Left out: order (depth / width)^2 of the variance's own leading order.
    higher = (np.arange(DEPTH) * 5 / width) ** 2 / 2 * squares
    assert np.all(np.abs(squares - got.variance) <= 4 * spread + higher)


def test_linear_finite_width_variance():
    # A product of chi-square means: E = 1, E of the square (1 + 2/n)^l.
    got = dr.finite_width(1.0, "linear", 5, width=1000, c_w=1.0)
    exact = 1.002 ** np.arange(1, 6) - 1
    np.testing.assert_allclose(got.variance, exact, rtol=5e-3)
    np.testing.assert_allclose(got.mean, 1)


@pytest.mark.full
def test_a_variance_is_a_kernel_of_one_input():
    for activation, c_w, c_b in CASES:
        one = dr.variances_through_depth(0.7, activation, 4, c_w=c_w, c_b=c_b)
        first = jnp.full((2, 2), 0.7)
        two = dr.kernels_through_depth(first, activation, 4, c_w=c_w, c_b=c_b)
        expected = np.broadcast_to(one[:, None, None], two.shape)
        np.testing.assert_allclose(two, expected, rtol=1e-13)


def test_critical_signals_over_many_layers():
    for name, c_w in (("linear", 1.0), ("relu", 2.0)):
        kept = dr.variances_through_depth(0.3, name, 500, c_w=c_w)
        np.testing.assert_allclose(kept, 0.3)
    # tanh loses its signal like 1/(2l), for every size at the start.
    layers = 3000
    lost = dr.variances_through_depth(jnp.array([0.5, 5.0]), "tanh", layers, c_w=1.0)
    np.testing.assert_allclose(2 * layers * lost[-1], 1, rtol=0.01)


@pytest.mark.full
def test_off_criticality_it_is_exponential():
    faded = dr.variances_through_depth(0.1, "tanh", 100, c_w=0.8)
    np.testing.assert_allclose(faded[-1] / faded[-2], 0.8, rtol=1e-6)
    fixed = dr.variances_through_depth(0.1, "tanh", 200, c_w=2.0)
    chi = dr.susceptibilities(fixed[-1], "tanh", c_w=2.0)
    assert fixed[-1] > 0.3 and chi.parallel < 1 < chi.perpendicular
    np.testing.assert_allclose(fixed[-1], fixed[-2], rtol=1e-12)


@pytest.mark.full
def test_correlations():
    # Ordered networks pull inputs together, chaotic ones apart; relu together always.
    first = jnp.array([[1.0, 0.6], [0.6, 1.0]])

    def last(activation, c_w, c_b=0.0, depth=60):
        kernels = dr.kernels_through_depth(first, activation, depth, c_w=c_w, c_b=c_b)
        return dr.correlations(kernels)[-1, 0, 1]

    assert last("tanh", 1.0, 0.3) > 0.999 and abs(last("tanh", 4.0)) < 1e-3
    np.testing.assert_allclose(last("linear", 1.0), 0.6)
    # Near 1 the angle obeys theta' = theta - theta^2 / (3 pi): theta = 3 pi / l.
    angle = np.arccos(last("relu", 2.0, depth=2000))
    np.testing.assert_allclose(2000 * angle / (3 * np.pi), 1, rtol=0.02)
    zero = dr.correlations(jnp.zeros((2, 2)))
    assert np.array_equal(zero, np.zeros((2, 2)))


@pytest.mark.full(plain=["linear-0.8-0.1"])
@pytest.mark.parametrize("activation, c_w, c_b", CASES[1::2])
def test_derivatives_are_products_of_susceptibilities(activation, c_w, c_b):
    depth = 5
    walk = functools.partial(dr.variances_through_depth, activation=activation)
    final = lambda k: walk(k, depth=depth, c_w=c_w, c_b=c_b)[-1]
    layers = walk(0.9, depth=depth, c_w=c_w, c_b=c_b)[:-1]
    chi = dr.susceptibilities(layers, activation, c_w=c_w)
    np.testing.assert_allclose(jax.grad(final)(0.9), jnp.prod(chi.parallel), 1e-12)

    def overlap(kab):
        first = jnp.full((2, 2), 0.9).at[0, 1].set(kab)
        kernels = dr.kernels_through_depth(first, activation, depth, c_w=c_w, c_b=c_b)
        return kernels[-1, 0, 1]

    slope = jax.jit(jax.grad(overlap))(0.9)
    # relu: near correlation 1 the angle is the root of a rounding error.
    error = 1e-7 if activation == "relu" else 1e-12
    np.testing.assert_allclose(slope, jnp.prod(chi.perpendicular), rtol=error)


@pytest.mark.full(plain=["linear-0.8-0.1"])
@pytest.mark.parametrize("activation, c_w, c_b", CASES[1::2])
def test_derivatives_in_the_variances(activation, c_w, c_b):
    def final(v):
        return dr.variances_through_depth(0.9, activation, 5, c_w=v[0], c_b=v[1])[-1]

    at, h = np.array([c_w, c_b + 0.1]), 1e-6
    for i, slope in enumerate(jax.grad(final)(jnp.asarray(at))):
        move = np.eye(2)[i] * h
        numeric = (final(at + move) - final(at - move)) / (2 * h)
        np.testing.assert_allclose(slope, numeric, rtol=1e-6)


@pytest.mark.full(plain=["linear", "relu"])
@pytest.mark.parametrize("activation", ["linear", "relu", "tanh"])
def test_zero_signals_have_finite_derivatives(activation):
    def final(first, c_w):
        kernels = dr.kernels_through_depth(first, activation, 3, c_w=c_w)
        return jnp.sum(kernels[-1]) + jnp.sum(dr.correlations(kernels[-1]))

    for slope in jax.jit(jax.grad(final, (0, 1)))(jnp.zeros((2, 2)), 1.0):
        assert np.all(np.isfinite(slope))


@pytest.mark.full
def test_float32():
    first = jnp.array([[1.0, 0.6], [0.6, 1.0]], jnp.float32)
    for activation, c_w, c_b in (CASES[1], CASES[3], CASES[5]):
        run = lambda k, a=activation, w=c_w, b=c_b: dr.kernels_through_depth(
            k, a, 5, c_w=w, c_b=b
        )
        assert run(first).dtype == jnp.float32
        np.testing.assert_allclose(run(first), run(first.astype(float)), rtol=1e-5)


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"activation": "selu"}, "unknown activation 'selu'"),
        ({"depth": 0}, "depth must be a whole number of at least 1; got 0"),
        ({"c_w": -1.0}, "c_w must be at least 0; got -1.0"),
        ({"c_b": -0.5}, "c_b must be at least 0; got -0.5"),
    ],
)
def test_bad_arguments(wrong, words):
    options = {"activation": "relu", "depth": 2, "c_w": 1.0, "c_b": 0.0} | wrong
    with pytest.raises(InputError, match=words):
        dr.variances_through_depth(1.0, **options)
    with pytest.raises(InputError, match=words):
        dr.kernels_through_depth(jnp.eye(2), **options)
    with pytest.raises(InputError, match=words):
        simulate_kernels(jax.random.key(0), jnp.eye(2), width=4, networks=2, **options)


def test_bad_shapes():
    with pytest.raises(InputError, match=r"first must have shape \(m, m\); got \(3,\)"):
        dr.kernels_through_depth(jnp.ones(3), "relu", 2, c_w=1.0)
    with pytest.raises(InputError, match=r"inputs must have shape \(m, n\); got \(3,"):
        dr.input_kernel(jnp.ones(3), c_w=1.0)
    with pytest.raises(InputError, match="width must be a whole number"):
        dr.finite_width(1.0, "relu", 2, width=0, c_w=1.0)
