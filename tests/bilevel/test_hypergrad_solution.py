"""implicit_solution: first and second derivatives, forward and reverse, composed."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import cases
from support import inner_problems as problems

from jaxopt_lab.bilevel import InnerProblem, hypergrad, implicit_solution
from jaxopt_lab.core.errors import InputError

STEPS = 300
SOLVERS = {
    "implicit_cg": {"mode": "implicit_cg"},
    "neumann": {"mode": "neumann", "alpha": 0.4, "terms": STEPS},
}


def solution(name, objective=problems.ridge_objective):
    return implicit_solution(problems.descent(objective, STEPS), **SOLVERS[name])


@pytest.mark.full
@pytest.mark.parametrize("name", cases.plain(SOLVERS, {"implicit_cg"}))
def test_first_and_second_derivatives_in_closed_form(name):
    solve, theta = solution(name), problems.theta()
    loss = lambda of: lambda th: problems.outer(th, of(th))
    direction = {"log_penalty": jnp.arange(1.0, 5.0)}

    @functools.partial(jax.jit, static_argnums=0)
    def derivatives(of, theta):
        grad = jax.grad(loss(of))
        both = jax.jvp(grad, (theta,), (direction,))
        twice = jax.grad(lambda th: jnp.sum(grad(th)["log_penalty"] ** 2))(theta)
        return *both, jax.jvp(of, (theta,), (direction,))[1], twice

    got = derivatives(solve, theta)
    expected = derivatives(problems.ridge_solution, theta)
    for a, b in zip(got, expected, strict=True):
        assert problems.relative_error(a, b) <= 1e-9


def test_the_value_is_the_loop_and_the_derivative_finite_differences():
    solve, theta = (
        solution("implicit_cg", problems.logistic_objective),
        problems.theta(),
    )
    loss = lambda th: problems.outer(th, solve(th))
    expected = problems.central_difference(loss, theta)
    assert problems.relative_error(jax.jit(jax.grad(loss))(theta), expected) <= 1e-6


def test_the_loop_itself_is_not_differentiated():
    # Stopped half way there: the implicit derivative at that point is that of the
    # objective alone, not of the steps.
    inner = InnerProblem(
        init=lambda theta: theta**2,
        step=lambda theta, w, t: w - 0.1 * (w - 3 * theta),
        n=2,
        objective=lambda theta, w: 0.5 * (w - 3 * theta) ** 2,
    )
    np.testing.assert_allclose(jax.grad(implicit_solution(inner))(2.0), 3.0, rtol=1e-12)


@pytest.mark.full
def test_it_composes_twice_and_under_vmap():
    inner = InnerProblem(
        init=lambda theta: jnp.zeros(()),
        step=lambda theta, w, t: w - 0.5 * (w - jnp.sin(theta)),
        n=60,
        objective=lambda theta, w: 0.5 * (w - jnp.sin(theta)) ** 2,
    )
    solve = implicit_solution(inner)
    thetas = jnp.linspace(0.1, 1.0, 3)
    twice = lambda theta: solve(solve(theta))
    got = jax.jit(jax.vmap(jax.grad(twice)))(thetas)
    expected = jnp.cos(jnp.sin(thetas)) * jnp.cos(thetas)
    np.testing.assert_allclose(got, expected, rtol=1e-9)


@pytest.mark.full
def test_reverse_mode_where_the_solve_is_cut_short():
    inner, theta = problems.descent(problems.ridge_objective, STEPS), problems.theta()
    exact = jax.grad(lambda th: problems.outer(th, problems.ridge_solution(th)))(theta)
    errors = []
    for steps in (2, 3):
        solve = implicit_solution(inner, max_steps=steps)
        got = jax.jit(jax.grad(lambda th: problems.outer(th, solve(th))))(theta)  # noqa: B023
        _, expected, _ = hypergrad(
            problems.outer, inner, theta, mode="implicit_cg", max_steps=steps
        )
        assert problems.relative_error(got, expected) <= 1e-12
        errors.append(problems.relative_error(got, exact))
    assert errors[0] > errors[1] > 1e-9


@pytest.mark.full
def test_a_start_is_used_and_has_no_derivative():
    inner = problems.descent(problems.ridge_objective, 1)
    solve, theta = implicit_solution(inner), problems.theta()
    best = problems.ridge_solution(theta)
    np.testing.assert_allclose(solve(theta, best), best, rtol=1e-12)
    by_start = jax.grad(lambda start: jnp.sum(solve(theta, start)))(best)
    np.testing.assert_array_equal(by_start, jnp.zeros_like(best))


@pytest.mark.full
def test_a_carry_with_more_than_weights():
    inner = InnerProblem(
        init=lambda theta: (jnp.zeros(()), jax.random.key(0), jnp.int32(0)),
        step=lambda theta, c, t: (c[0] - 0.5 * (c[0] - theta**2), c[1], c[2] + 1),
        n=50,
        read=lambda c: c[0],
        objective=lambda theta, w: 0.5 * (w - theta**2) ** 2,
    )
    solve = implicit_solution(inner)
    start = (jnp.array(3.0), jax.random.key(1), jnp.int32(0))
    for args in ((), (start,)):
        np.testing.assert_allclose(jax.grad(solve)(3.0, *args), 6.0, rtol=1e-9)
        np.testing.assert_allclose(
            jax.grad(jax.grad(solve))(3.0, *args), 2.0, rtol=1e-9
        )


def test_errors():
    bare = InnerProblem(lambda th: th, lambda th, w, t: w, 1)
    with pytest.raises(InputError, match="'implicit_cg' needs inner.objective"):
        implicit_solution(bare)
    inner = problems.descent(problems.ridge_objective, 1)
    with pytest.raises(InputError, match="unknown mode 'reverse'"):
        implicit_solution(inner, mode="reverse")
    with pytest.raises(InputError, match="mode 'neumann' needs alpha="):
        implicit_solution(inner, mode="neumann")
    with pytest.raises(InputError, match="terms is for mode 'neumann'; got"):
        implicit_solution(inner, terms=3)
    with pytest.raises(InputError, match="damping must be at least 0; got -1"):
        implicit_solution(inner, damping=-1.0)
    with pytest.raises(InputError, match=r"start does not fit.*float64\[4\]"):
        implicit_solution(inner)(problems.theta(), jnp.zeros(3))
