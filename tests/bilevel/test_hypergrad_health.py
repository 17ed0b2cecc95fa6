"""Adjoint growth by step, and the horizon of trust."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.bilevel import InnerProblem, hypergrad
from jaxopt_lab.core.errors import InputError

N = 200


def problem(step, n=N, **more):
    """A scalar and a count of steps as the carry."""
    return InnerProblem(
        init=lambda theta: (jnp.float64(0.3), jnp.int32(0)),
        step=lambda theta, c, t: (step(theta, c[0]), c[1] + 1),
        n=n,
        read=lambda carry: carry[0],
        **more,
    )


@pytest.mark.full(plain=["none"])
@pytest.mark.parametrize("remat", ["none", "sqrt"])
def test_norms_of_a_linear_run_are_powers(remat):
    inner = problem(lambda theta, w: theta * w, 10)
    args = (lambda theta, w: w, inner, jnp.float64(0.5))
    value, grad, info = hypergrad(*args, remat=remat, health=True)
    plain_value, plain, _ = hypergrad(*args, remat=remat)
    assert value == plain_value and grad == plain
    health = info["health"]
    np.testing.assert_allclose(health.adjoint_norm, 0.5 ** np.arange(10, 0, -1.0))
    np.testing.assert_allclose(health.growth, 0.5 ** np.arange(9, -1, -1.0))
    assert health.horizon == 10


def test_the_horizon_of_a_chaotic_run_is_where_half_of_the_digits_are_lost():
    inner = problem(lambda theta, w: theta * w * (1 - w))
    _, grad, info = hypergrad(lambda theta, w: w, inner, jnp.float64(3.99), health=True)
    health = info["health"]
    steps = int(health.horizon)
    # The Lyapunov exponent of the map is near ln 2; 1 / sqrt(eps) is 2^26.
    assert 15 < steps < 60 and abs(grad) > 1e20
    assert health.growth[-steps] <= 2.0**26 < health.growth[-steps - 1]


def test_of_the_sum_of_losses_in_a_window_and_of_a_loss_without_steps():
    inner = problem(lambda theta, w: theta * w, 3, window_loss=lambda th, c, t: c[0])
    _, _, info = hypergrad(None, inner, jnp.float64(2.0), t0=7, health=True)
    np.testing.assert_allclose(info["health"].adjoint_norm, [14.0, 6.0, 2.0])
    _, _, info = hypergrad(lambda theta, w: theta, inner, jnp.float64(2.0), health=True)
    np.testing.assert_array_equal(info["health"].adjoint_norm, 0)
    assert info["health"].horizon == 3


def test_a_run_that_is_not_finite_has_no_horizon():
    inner = problem(lambda theta, w: jnp.sqrt(theta * w - w), 3)
    _, _, info = hypergrad(lambda theta, w: w, inner, jnp.float64(0.5), health=True)
    assert info["health"].horizon == 0


def test_other_modes_refuse_it():
    inner = problem(lambda theta, w: theta * w, 3)
    with pytest.raises(InputError, match="health is for mode 'reverse'; got"):
        hypergrad(lambda th, w: w, inner, jnp.float64(1.0), mode="forward", health=True)


def test_it_may_be_traced():
    inner = problem(lambda theta, w: theta * w, 4)

    def horizon(theta):
        return hypergrad(lambda th, w: w, inner, theta, health=True)[2][
            "health"
        ].horizon

    found = jax.jit(jax.vmap(horizon))(jnp.array([0.5, 1e9]))
    np.testing.assert_array_equal(found, [4, 1])
