"""Temperature scaling: the minimum of the cross-entropy, its bounds, its gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from battery.estimator.references import temperature_scaling as golden_section

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.metrics import FittedTemperature, apply_temperature, fit_temperature

RNG = np.random.default_rng(0)
TARGETS = RNG.integers(0, 4, 60)
LOGITS = 3 * (RNG.normal(size=(60, 4)) + np.eye(4)[TARGETS])
fit = jax.jit(lambda z, y: fit_temperature({"outputs": z, "targets": y}).temperature)


@pytest.mark.parametrize("scale", [0.1, 1.0, 20.0])
def test_it_is_the_minimum_and_scales_with_the_logits(scale):
    got = fit(scale * LOGITS, TARGETS)
    np.testing.assert_allclose(got, scale * fit(LOGITS, TARGETS), rtol=1e-10)
    wanted = golden_section(scale * LOGITS, TARGETS)["temperature"]
    np.testing.assert_allclose(got, wanted, rtol=1e-9)


def test_bounds_that_are_active():
    right, wrong = 9 * np.eye(4)[TARGETS], -9 * np.eye(4)[TARGETS]
    assert fit(right, TARGETS) == pytest.approx(0.01)
    assert fit(wrong, TARGETS) == pytest.approx(100.0)
    assert fit(np.zeros((60, 4)), TARGETS) == 1
    flat = fit_temperature(
        {"outputs": np.zeros((2, 3)), "targets": np.zeros(2, int)}, lowest=2.0
    )
    assert flat.temperature == pytest.approx(2.0)
    assert not np.any(jax.jit(jax.grad(fit))(right, TARGETS))


@pytest.mark.full
def test_second_derivatives_are_those_of_finite_differences():
    direction = RNG.normal(size=LOGITS.shape)
    along = jax.jit(lambda t: fit(LOGITS + t * direction, TARGETS))
    step = 1e-4
    values = [along(t) for t in (-step, 0.0, step)]
    first = jax.jit(jax.grad(along))(0.0)
    second = jax.jit(jax.grad(jax.grad(along)))(0.0)
    np.testing.assert_allclose(first, (values[2] - values[0]) / (2 * step), rtol=1e-6)
    measured = (values[2] - 2 * values[1] + values[0]) / step**2
    np.testing.assert_allclose(second, measured, rtol=1e-4)


def test_the_order_of_the_classes_stays_and_types_are_kept():
    fitted = FittedTemperature(fit(LOGITS, TARGETS))
    scaled = apply_temperature(fitted, jnp.asarray(LOGITS, jnp.bfloat16))
    assert scaled.dtype == jnp.bfloat16
    np.testing.assert_array_equal(
        np.argmax(apply_temperature(fitted, LOGITS), 1), LOGITS.argmax(1)
    )


def test_labels_out_of_range_and_nan_show():
    assert np.isnan(fit(LOGITS, np.full(60, 9)))
    assert np.isnan(fit(np.where(np.eye(60, 4) == 1, np.nan, LOGITS), TARGETS))


def test_bad_bounds():
    data = {"outputs": LOGITS, "targets": TARGETS}
    with pytest.raises(InputError, match="lowest must be above 0; got 0.0"):
        fit_temperature(data, lowest=0.0)
    with pytest.raises(InputError, match="lowest must be at most highest; got 2.0, 1"):
        fit_temperature(data, lowest=2.0, highest=1.0)
