"""Moments and directions: the values of optax, and derivatives at zero."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lab.core import moments
from jaxopt_lab.core.errors import InputError

GRADS = [jnp.array([1.0, -2.0, 0.5]), jnp.array([0.3, 0.0, -4.0])]


@pytest.mark.full(plain=["float64"])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_two_steps_of_adam_are_those_of_optax(dtype):
    grads = [g.astype(dtype) for g in GRADS]
    tx = optax.scale_by_adam(0.8, 0.95, 1e-3)
    state = tx.init(grads[0])
    m = v = moments.zeros(grads[0])
    for t, g in enumerate(grads):
        expected, state = tx.update(g, state)
        m, v = moments.average(m, g, 0.8), moments.average_of_squares(v, g, 0.95)
        count = jnp.int32(t + 1)
        c1, c2 = (moments.bias_correction(b, count, dtype) for b in (0.8, 0.95))
        got = moments.adam_direction(m, v, 1e-3, c1, c2)
        assert got.dtype == dtype
        tolerance = 1e-14 if dtype == jnp.float64 else 1e-6
        np.testing.assert_allclose(got, expected, rtol=tolerance)


def test_the_centered_direction_is_that_of_optax():
    tx = optax.scale_by_stddev(0.8, 1e-3, eps_in_sqrt=False)
    state = tx.init(GRADS[0])
    m = v = jnp.zeros(3)
    for g in GRADS:
        expected, state = tx.update(g, state)
        m, v = moments.average(m, g, 0.8), moments.average_of_squares(v, g, 0.8)
        np.testing.assert_allclose(
            moments.rms_direction(g, v, 1e-3, m), expected, rtol=1e-13
        )


def test_a_narrow_gradient_is_squared_wide():
    g = jnp.array([1.00390625], jnp.bfloat16)
    v = moments.average_of_squares(moments.zeros(g), g, 0.0)
    assert v.dtype == jnp.float32
    assert float(v[0]) == float(g[0]) ** 2


def test_everything_is_safe_at_zero():
    zero = jnp.zeros(())

    def direction(v, m, b2):
        v = moments.average_of_squares(v, m, b2)
        c = moments.bias_correction(b2, jnp.int32(1), m.dtype)
        plain = moments.rms_direction(m, v, 0.0)
        centered = moments.rms_direction(m, v, 0.0, m)
        return moments.adam_direction(m, v, 0.0, c, c) + plain + centered

    for b2 in (0.0, 0.9):
        value = jax.value_and_grad(direction, argnums=(0, 1, 2))
        chex.assert_tree_all_finite(value(zero, zero, jnp.array(b2)))


def test_what_is_no_number_stays_visible():
    nan, one = jnp.array(jnp.nan), jnp.array(1.0)
    assert jnp.isnan(moments.rms_direction(one, one, 1.0, nan))
    assert jnp.isnan(moments.adam_direction(nan, one, 1.0))
    assert jnp.isnan(moments.adam_direction(one, nan, 1.0))


@pytest.mark.parametrize("value", [1.0, -0.1, float("nan")])
def test_impossible_decays_are_refused(value):
    with pytest.raises(InputError, match=r"b1 must lie in \[0, 1\); got"):
        moments.check_decay("b1", value)


def test_traced_decays_and_schedules_pass():
    moments.check_decay("b1", lambda count: 2.0)
    jax.jit(lambda b: moments.check_decay("b1", b))(2.0)


@pytest.mark.full
def test_three_steps_of_adam_are_those_of_optax():
    tx = optax.scale_by_adam(0.8, 0.95, 1e-3)
    key, shape = jax.random.key(7), (3, 2)
    w = jnp.zeros(shape)
    state, mu, nu = tx.init(w), moments.zeros(w), moments.zeros(w)
    for i in range(3):
        g = jax.random.normal(jax.random.fold_in(key, i), shape)
        expected, state = tx.update(g, state)
        u, mu, nu = moments.adam_step(g, mu, nu, jnp.int32(i + 1), 0.8, 0.95, 1e-3)
        np.testing.assert_allclose(u, expected, rtol=1e-13)


def test_a_step_of_adam_keeps_the_type_of_its_moments():
    g = jnp.ones(2, jnp.bfloat16)
    zero = moments.zeros(g)
    found = moments.adam_step(g, zero, zero, jnp.int32(1), 0.9, 0.99, 1e-8)
    assert [x.dtype for x in found] == [jnp.float32] * 3


def test_corrections_of_a_double_state_are_double():
    exact = 1 - 0.99999**3
    found = moments.bias_correction(0.99999, jnp.int32(3), jnp.float64)
    np.testing.assert_allclose(found, exact, rtol=1e-10)
    # Of a traced decay of double precision, too; in single precision not.
    traced = jax.jit(lambda b: moments.bias_correction(b, jnp.int32(3), jnp.float64))
    np.testing.assert_allclose(traced(0.99999), exact, rtol=1e-10)
    single = moments.bias_correction(0.99999, jnp.int32(3), jnp.float32)
    assert abs(float(single) / exact - 1) > 1e-5
