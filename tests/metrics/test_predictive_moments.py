"""Uncertainty of predictions: total variance, sensitivities, sparsification."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import spearmanr

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.metrics import (
    error_calibration,
    input_sensitivity,
    predictive_moments,
    sparsification,
)

RNG = np.random.default_rng(0)
SAMPLES, VARIANCES = RNG.normal(size=(5, 3, 2)), RNG.uniform(0.1, 2, (5, 3, 2))
ERRORS = RNG.normal(size=24)
DEVIATIONS = np.abs(ERRORS) * RNG.uniform(0.5, 2, 24)


def test_the_parts_are_the_variance_of_the_mixture():
    found = jax.jit(lambda s, v: predictive_moments(s, variances=v))(SAMPLES, VARIANCES)
    second = np.mean(VARIANCES + SAMPLES**2, axis=0)
    total = second - SAMPLES.mean(0) ** 2
    np.testing.assert_allclose(found.mean, SAMPLES.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.aleatoric + found.epistemic, total, rtol=1e-12)
    same = predictive_moments(np.repeat(SAMPLES[:1], 4, axis=0))
    assert not same.epistemic.any() and not same.aleatoric.any()
    half = predictive_moments(jnp.asarray(SAMPLES, jnp.bfloat16))
    assert half.mean.dtype == jnp.float32


def test_sensitivities_are_derivatives():
    weights = RNG.normal(size=(4, 3))
    linear = input_sensitivity(lambda v: jnp.asarray(weights) @ v, np.zeros(3))
    np.testing.assert_allclose(linear, np.abs(weights), rtol=1e-12)
    image = lambda v: jnp.outer(jnp.sin(v[0] * jnp.arange(2.0)), jnp.cos(v[1:]))
    at, step = np.array([0.3, 0.7, 0.2]), 1e-6
    apart = [(image(at + step * e) - image(at - step * e)) / 2e-6 for e in np.eye(3)]
    wanted = np.abs(np.stack(apart, axis=-1))
    np.testing.assert_allclose(input_sensitivity(image, at), wanted, atol=1e-8)


def test_reliability_by_loops():
    found = error_calibration(ERRORS, DEVIATIONS, bins=5)
    order = np.argsort(DEVIATIONS)
    gap = 0.0
    for k, part in enumerate(np.array_split(order, 5)):
        error, stated = (np.sqrt(np.mean(x[part] ** 2)) for x in (ERRORS, DEVIATIONS))
        np.testing.assert_allclose(
            (found.error[k], found.deviation[k]), (error, stated)
        )
        gap += len(part) * abs(error - stated) / 24
    np.testing.assert_allclose(found.gap, gap)
    wanted = spearmanr(np.abs(ERRORS), DEVIATIONS)[0]
    np.testing.assert_allclose(found.rank_correlation, wanted)
    assert error_calibration(ERRORS, np.ones(24)).rank_correlation == 0


def test_sparsification_by_loops_and_its_ends():
    found = sparsification(ERRORS, DEVIATIONS, points=6)
    order = np.argsort(DEVIATIONS)
    for k in range(6):
        rest = order[: 24 - 24 * k // 6]
        np.testing.assert_allclose(found.error[k], np.abs(ERRORS[rest]).mean())
    assert sparsification(ERRORS, np.abs(ERRORS)).area == 0
    least = found.area
    for _ in range(20):
        shuffled = RNG.permutation(DEVIATIONS)
        assert sparsification(ERRORS, shuffled, points=6).area > 0
    assert 0 < least < sparsification(ERRORS, 1 / DEVIATIONS, points=6).area
    # Equal deviations: as random ones in the mean, whatever the order of the examples.
    constant = sparsification(ERRORS, np.ones(24), points=6)
    np.testing.assert_allclose(constant.error, np.abs(ERRORS).mean())
    assert sparsification(np.zeros(4), np.ones(4)).area == 0


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda: predictive_moments(SAMPLES[:0]), "at least one; got shape"),
        (lambda: predictive_moments(SAMPLES > 0), "must be real floating; got bool"),
        (
            lambda: predictive_moments(SAMPLES, variances=-VARIANCES),
            "at least 0; got -",
        ),
        (lambda: predictive_moments(SAMPLES, variances=SAMPLES[0]), "the shape of"),
        (lambda: input_sensitivity(jnp.sin, np.ones((2, 2))), "real floating vector"),
        (lambda: error_calibration(ERRORS, -DEVIATIONS), "deviations must be at least"),
        (lambda: error_calibration(ERRORS, DEVIATIONS, bins=99), "at most 24; got 99"),
        (lambda: sparsification(ERRORS, DEVIATIONS[:3]), "must have one shape"),
        (lambda: sparsification([np.nan], [1.0]), "errors must be finite"),
    ],
)
def test_bad_input_gets_one_line(call, said):
    with pytest.raises(InputError, match=said):
        call()
