"""Calibration error at the edges of its bins, and of calibrated predictions."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from battery.metric.references import expected_calibration_error as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.metrics import expected_calibration_error

NAME = "expected_calibration_error"


@functools.partial(jax.jit, static_argnames="bins")
def value_of(outputs, targets, bins=15, **more):
    metric = expected_calibration_error(bins=bins)
    batch = {"outputs": outputs, "targets": targets, **more}
    return metric.compute(metric.update(metric.init(jnp.float64), batch))[NAME]


def test_the_base_rate_is_calibrated():
    targets = np.array([0, 0, 0, 1])
    outputs = np.log(np.tile([0.75, 0.25], (4, 1)))
    assert abs(value_of(outputs, targets)) < 1e-12


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_it_is_the_loop_over_bins(seed):
    rng = np.random.default_rng(seed)
    outputs, targets = 3 * rng.normal(size=(20, 4)), rng.integers(0, 4, 20)
    weight = rng.integers(0, 3, 20).astype(float)
    weight[0] = 1
    got = value_of(outputs, targets, 7, weight=weight)
    np.testing.assert_allclose(got, reference(outputs, targets, weight, 7)[NAME])


def test_a_confidence_at_an_edge_belongs_to_the_bin_below():
    metric = expected_calibration_error(bins=2)
    batch = {"outputs": jnp.zeros((1, 2)), "targets": jnp.array([0])}
    assert metric.update(metric.init(), batch).weight.tolist() == [1.0, 0.0]


def test_its_gradient_is_that_of_the_confidences():
    outputs = np.array([[2.0, 0.0], [0.0, 1.0]])
    targets = np.array([1, 1])
    slope = jax.jit(jax.grad(lambda z: value_of(z, targets)))(outputs)
    p = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
    # Wrong with .88: less confidence is better; right with .73: more is.
    confidence = p.max(1)
    size = confidence * (1 - confidence) / 2
    np.testing.assert_allclose(slope[:, 0], [size[0], size[1]], rtol=1e-10)


def test_nothing_and_bad_input():
    metric = expected_calibration_error()
    assert np.isnan(metric.compute(metric.init())[NAME])
    with pytest.raises(InputError, match="bins must be a whole number of at least 1"):
        expected_calibration_error(bins=0)
    with pytest.raises(InputError, match="the batch has no 'targets'; it has outputs"):
        metric.update(metric.init(), {"outputs": jnp.zeros((1, 2))})
    with pytest.raises(InputError, match=r"shapes \(B, C\) and \(B,\); got"):
        value_of(np.zeros((2, 3)), np.zeros(3, int))
    with pytest.raises(InputError, match="targets must be integers; got dtype float"):
        value_of(np.zeros((2, 3)), np.zeros(2))
    with pytest.raises(InputError, match=r"weight must have shape \(2,\)"):
        value_of(np.zeros((2, 3)), np.zeros(2, int), weight=np.ones(3))
