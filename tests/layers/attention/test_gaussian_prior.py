"""Gaussian attention targets against loops over queries and tokens."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import gaussian_prior, prior_deviations

RNG = np.random.default_rng(0)
HEIGHT, WIDTH = 3, 4
DEVIATIONS = RNG.uniform(0.3, 2, (2, 12, 2))


@jax.jit
def run(s, way):
    prior = lambda s: gaussian_prior(s, height=HEIGHT, width=WIDTH)
    total = lambda s: jnp.sum(prior(s) * jnp.cos(jnp.arange(12.0)).reshape(1, 1, 12))
    ends = [total(s + by * way) for by in (1e-5, -1e-5)]
    slope = jax.grad(total)(s)
    along = jnp.sum(slope * way), (ends[0] - ends[1]) / 2e-5
    return prior(s), along, slope


def test_rows_sum_to_one_peak_at_the_query_and_widen():
    found, along, _ = jax.device_get(run(DEVIATIONS, RNG.normal(size=(2, 12, 2))))
    wanted = np.zeros((2, 12, 12))
    for b, i, j in np.ndindex(2, 12, 12):
        gaps = np.array(divmod(i, WIDTH)) - divmod(j, WIDTH)
        wanted[b, i, j] = np.exp(-np.sum((gaps / DEVIATIONS[b, i]) ** 2) / 2)
    wanted /= wanted.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    np.testing.assert_allclose(found.sum(axis=-1), 1, rtol=1e-12)
    assert np.array_equal(found.argmax(axis=-1), [np.arange(12)] * 2)
    np.testing.assert_allclose(*along, rtol=1e-6)
    wider = jax.device_get(run(2 * DEVIATIONS, DEVIATIONS))[0]
    own = np.arange(12)
    assert np.all(wider[:, own, own] < found[:, own, own])


def test_deviations_of_zero_are_attention_to_itself_with_no_gradient():
    for size in (0.0, 1e-30, 0.01):
        still = np.full((2, 12, 2), size)
        found, _, slope = jax.device_get(run(still, still))
        np.testing.assert_array_equal(found, [np.eye(12)] * 2)
        assert not np.any(slope)


def test_deviations_of_logits():
    z = np.array([-3.0, -0.2, 0.0, 0.4, 3.0])
    wanted = 3 ** (1 / (1 + np.exp(-5 * z)) + 1e-5) - 1
    found = jax.jit(prior_deviations)(z)
    np.testing.assert_allclose(found, wanted, rtol=1e-11)
    assert np.all(np.asarray(found) > 0) and np.all(np.asarray(found) < 2.0001)


def test_a_shape_that_does_not_fit():
    with pytest.raises(InputError, match=r"numbers \(..., 12, 2\); got .*\(2, 11, 2\)"):
        gaussian_prior(DEVIATIONS[:, 1:], height=HEIGHT, width=WIDTH)
