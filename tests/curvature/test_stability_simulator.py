"""stability_simulator: against the spectral radius; why plain runs mislead."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import vectors

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.curvature.stability import sample_hessians as sh
from jaxopt_lab.curvature.stability.second_moment import (
    exact_threshold,
    spectral_radius,
)
from jaxopt_lab.curvature.stability.simulator import (
    _resample,
    batch_weights,
    growth_rate,
    linear_step,
    plain_runs,
)

SAMPLINGS = ("bernoulli", "with_replacement", "without_replacement")


@functools.cache
def hessians(name):
    with np.load(vectors.VECTORS / "sgd_stability" / f"{name}.npz") as file:
        return sh.compress(sh.from_hessians(jnp.asarray(file["H"])))


def drawing(h):
    return lambda key: jax.random.normal(key, h.eigenvalues.shape, jnp.float64)


@functools.partial(jax.jit, static_argnames=("b", "sampling", "runs"))
def growth(h, eta, key, *, b, sampling, runs=500):
    step = linear_step(h, eta, b, sampling=sampling)
    return growth_rate(step, drawing(h), key, runs=runs, steps=90, repetitions=4)


@pytest.mark.full
@pytest.mark.parametrize(
    ("name", "b", "sampling"),
    [
        ("groups_sigma2", 1, "bernoulli"),
        ("groups_sigma2", 4, "without_replacement"),
        ("two_layer_linear", 2, "bernoulli"),
        ("rank1_random", 2, "with_replacement"),
    ],
)
def test_growth_is_the_logarithm_of_the_spectral_radius(name, b, sampling):
    h = hessians(name)
    at = exact_threshold(h, b, sampling=sampling).learning_rate
    for factor in (0.9, 0.97, 1.03, 1.2):
        found = growth(h, factor * at, jax.random.key(1), b=b, sampling=sampling)
        radius = spectral_radius(h, factor * at, b, sampling=sampling).value
        assert abs(found.rate - jnp.log(radius)) < 0.01, factor
        assert (found.rate > 0) == (factor > 1)
        assert 0 < found.standard_error < 0.005


@pytest.mark.full
def test_the_standard_error_is_that_of_the_repetitions():
    h = hessians("groups_sigma2")
    found = growth(h, 0.5, jax.random.key(0), b=1, sampling="bernoulli")
    rates = np.asarray(found.rates)
    np.testing.assert_allclose(found.rate, rates.mean(), rtol=1e-12)
    np.testing.assert_allclose(found.standard_error, rates.std(ddof=1) / 2, rtol=1e-12)
    single = growth_rate(
        linear_step(h, 0.5, 1), drawing(h), jax.random.key(0), runs=3, repetitions=1
    )
    assert np.isnan(single.standard_error)


@pytest.mark.full
def test_plain_runs_have_the_wrong_sign_above_the_threshold():
    h = hessians("groups_sigma2")
    eta = 1.1 * exact_threshold(h, 4).learning_rate
    assert spectral_radius(h, eta, 4).value > 1.1
    found = jax.jit(
        lambda eta: plain_runs(
            linear_step(h, eta, 4), drawing(h), jax.random.key(0), runs=500, steps=200
        )
    )(eta)
    # The mean square of all runs grows by more than 1.1^200; that of these does not.
    assert found.log_mean_square[-1] < 0
    assert found.log_squares.shape == (200, 500)
    assert found.grown < 0.2
    right = growth(h, eta, jax.random.key(0), b=4, sampling="bernoulli")
    assert right.rate > 10 * right.standard_error


@pytest.mark.full
def test_float32_is_close_to_float64():
    h = hessians("two_layer_linear")
    narrow = jax.tree.map(lambda x: x.astype(jnp.float32), h)
    step = linear_step(narrow, 0.2, 2)
    draw = lambda key: jax.random.normal(key, h.eigenvalues.shape, jnp.float32)
    found = jax.jit(lambda key: growth_rate(step, draw, key, runs=500, steps=60))
    result = found(jax.random.key(3))
    assert result.rate.dtype == jnp.float32
    assert abs(result.rate - jnp.log(spectral_radius(h, 0.2, 2).value)) < 0.01


@pytest.mark.full
def test_a_deterministic_map_is_exact():
    h = hessians("groups_sigma2")
    eta, n = 0.7, h.factors.shape[0]
    found = growth_rate(
        linear_step(h, eta, n, sampling="without_replacement"),
        drawing(h),
        jax.random.key(0),
        runs=4,
        steps=9,
        repetitions=2,
    )
    expected = 2 * np.log(abs(1 - eta * h.eigenvalues[0]))
    np.testing.assert_allclose(found.rate, expected, rtol=1e-12)


@pytest.mark.full
def test_a_map_to_zero_gives_minus_infinity():
    step = lambda key, w: 0 * w
    draw = lambda key: jnp.ones(2)
    found = growth_rate(step, draw, jax.random.key(0), runs=3, steps=4)
    assert found.rate == -np.inf
    assert plain_runs(step, draw, jax.random.key(0), runs=3, steps=4).grown == 0


@pytest.mark.full(plain=["without_replacement"])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_batches_have_the_means_and_covariances_they_should(sampling):
    n, b, draws = 5, 2, 20_000
    keys = jax.random.split(jax.random.key(0), draws)
    weights = jax.jit(jax.vmap(lambda key: batch_weights(key, n, b, sampling)))(keys)
    weights = np.asarray(weights) * b
    np.testing.assert_allclose(weights.mean(0), b / n, atol=0.02)
    covariance = np.cov(weights.T)
    variance = {
        "bernoulli": b / n * (1 - b / n),
        "with_replacement": b / n * (1 - 1 / n),
        "without_replacement": b / n * (1 - b / n),
    }[sampling]
    other = {
        "bernoulli": 0,
        "with_replacement": -b / n**2,
        "without_replacement": -b / n * (1 - b / n) / (n - 1),
    }[sampling]
    expected = np.full((n, n), other) + (variance - other) * np.eye(n)
    np.testing.assert_allclose(covariance, expected, atol=0.015)
    if sampling != "bernoulli":
        np.testing.assert_array_equal(weights.sum(1), b)


def test_resampling_is_systematic():
    weights = jnp.asarray([0.0, 3.0, 1.5, 0.0, 0.5])
    for seed in range(20):
        chosen = np.asarray(_resample(jax.random.key(seed), weights))
        counts = np.bincount(chosen, minlength=5)
        assert counts[1] == 3 and counts[0] == counts[3] == 0
        assert counts[2] in (1, 2) and counts[4] in (0, 1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"runs": 0}, "runs must be a whole number of at least 1; got 0"),
        ({"steps": 2}, "steps must be at least 3, a third is dropped; got 2"),
        ({"repetitions": 1.5}, "repetitions must be a whole number"),
    ],
)
def test_bad_numbers(options, words):
    with pytest.raises(InputError, match=words):
        growth_rate(
            lambda key, w: w, lambda key: jnp.ones(1), jax.random.key(0), **options
        )


def test_batch_sizes_may_be_traced_where_they_can():
    for sampling in ("bernoulli", "without_replacement"):
        draw = lambda b, sampling=sampling: batch_weights(
            jax.random.key(0), 6, b, sampling
        )
        np.testing.assert_array_equal(jax.jit(draw)(2), draw(2))
    with pytest.raises(InputError, match="batch_size must be a whole number"):
        jax.jit(lambda b: batch_weights(jax.random.key(0), 6, b, "with_replacement"))(2)


def test_bad_batches():
    with pytest.raises(InputError, match="batch_size must lie in 1 to 8"):
        linear_step(hessians("groups_sigma2"), 0.1, 9)
    with pytest.raises(InputError, match="unknown sampling 'poisson'"):
        batch_weights(jax.random.key(0), 4, 2, "poisson")
