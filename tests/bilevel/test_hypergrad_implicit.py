"""hypergrad at a minimum: conjugate gradients, Neumann series, damping, cuts."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import inner_problems as problems

from jaxopt_lab.bilevel import InnerProblem, hypergrad
from jaxopt_lab.bilevel.linear_solve import ConjugateGradients, NeumannSeries

STEPS = 600


@functools.cache
def converged(name):
    """The problem, the unrolled gradient, and a weight vector at the minimum."""
    inner = problems.descent(problems.OBJECTIVES[name], STEPS)
    _, grad, info = jax.jit(
        lambda th: hypergrad(problems.outer, inner, th, mode="forward")
    )(problems.theta())
    return inner, grad, info["carry"]


@functools.cache
def compiled(name, **static):
    inner, _, carry = converged(name)
    return jax.jit(
        lambda theta, options: hypergrad(
            problems.outer, inner.replace(n=1), theta, start=carry, **static, **options
        )
    )


def at_the_minimum(name, damping=0.0, adjoint0=None, **options):
    """The error of an implicit mode, and its info."""
    _, exact, carry = converged(name)
    traced = {"damping": damping}
    if adjoint0 is not None:
        traced["adjoint0"] = adjoint0
    if "alpha" in options:
        traced["alpha"] = options.pop("alpha")
    value, grad, info = compiled(name, **options)(problems.theta(), traced)
    np.testing.assert_allclose(value, problems.outer(problems.theta(), carry), 1e-12)
    return problems.relative_error(grad, exact), info


@pytest.mark.full(plain=["ridge"])
@pytest.mark.parametrize("name", ["ridge", "logistic"])
def test_conjugate_gradients_are_the_unrolled_derivative(name):
    inner, exact, carry = converged(name)
    _, grad, info = jax.jit(
        lambda th: hypergrad(problems.outer, inner, th, mode="implicit_cg")
    )(problems.theta())
    assert problems.relative_error(grad, exact) <= 1e-9
    np.testing.assert_array_equal(info["carry"], carry)
    assert info["residual"] <= 1e-11
    # One product for each weight, and one or two for the rounding.
    assert problems.FEATURES <= int(info["num_steps"]) <= problems.FEATURES + 2


@pytest.mark.full
@pytest.mark.parametrize("name", ["ridge", "logistic"])
def test_less_damping_is_less_error(name):
    errors = [
        at_the_minimum(name, mode="implicit_cg", damping=d)[0]
        for d in (1.0, 1e-1, 1e-2, 1e-3)
    ]
    assert all(a > 3 * b for a, b in itertools.pairwise(errors)), errors
    # The error is of first order in the damping.
    assert 5 < errors[2] / errors[3] < 15


@pytest.mark.full
def test_more_iterations_are_less_error():
    found = [
        at_the_minimum("logistic", mode="implicit_cg", max_steps=k)
        for k in (1, 2, 3, 5)
    ]
    errors, residuals = [e for e, _ in found], [i["residual"] for _, i in found]
    assert all(a > b for a, b in itertools.pairwise(errors)), errors
    assert errors[0] > 1e-2 and errors[-1] <= 1e-9
    assert residuals[0] > 1e-2 and residuals[-1] <= 1e-9
    assert [int(i["num_steps"]) for _, i in found] == [1, 2, 3, 5]


@pytest.mark.full
@pytest.mark.parametrize("name", ["ridge", "logistic"])
def test_more_terms_are_less_error(name):
    inner, _, carry = converged(name)
    largest = problems.largest_curvature(inner.objective, problems.theta(), carry)
    errors = [
        at_the_minimum(name, mode="neumann", alpha=1.9 / largest, terms=k)[0]
        for k in (10, 160, 640)
    ]
    assert all(a > b for a, b in itertools.pairwise(errors)), errors
    assert errors[0] > 1e-3 and errors[-1] <= 1e-9
    too_long = [
        at_the_minimum(name, mode="neumann", alpha=2.1 / largest, terms=k)[0]
        for k in (160, 640)
    ]
    assert too_long[1] > 10 * too_long[0]


@pytest.mark.full
def test_the_terms_of_the_series_one_by_one():
    inner, _, carry = converged("ridge")
    theta = problems.theta()
    hessian = jax.hessian(inner.objective, argnums=1)(theta, carry)
    b = jax.grad(problems.outer, argnums=1)(theta, carry)
    power, total, alpha, damping = b, 0 * b, 0.2, 0.05
    for k in range(1, 4):
        total = total + alpha * power
        power = power - alpha * (hessian @ power + damping * power)
        if k == 2:
            continue
        _, info = at_the_minimum(
            "ridge", mode="neumann", alpha=alpha, terms=k, damping=damping
        )
        np.testing.assert_allclose(info["adjoint"], total, rtol=1e-12)
        assert int(info["num_steps"]) == k - 1


@pytest.mark.full
@pytest.mark.parametrize(
    "options",
    [{"mode": "implicit_cg", "max_steps": 2}, {"mode": "neumann", "alpha": 0.2}],
)
def test_a_solve_goes_on_from_the_last_adjoint(options):
    error, info = at_the_minimum("logistic", **options)
    again, later = at_the_minimum("logistic", adjoint0=info["adjoint"], **options)
    assert later["residual"] < info["residual"] and again < error
    exact = at_the_minimum("logistic", mode="implicit_cg")[1]["adjoint"]
    _, done = at_the_minimum("logistic", mode="implicit_cg", adjoint0=exact)
    assert int(done["num_steps"]) <= 1


@pytest.mark.full
def test_two_halves_of_the_series_are_the_whole():
    options = {"mode": "neumann", "alpha": 0.2}
    _, half = at_the_minimum("ridge", terms=5, **options)
    _, rest = at_the_minimum("ridge", terms=7, adjoint0=half["adjoint"], **options)
    _, whole = at_the_minimum("ridge", terms=12, **options)
    np.testing.assert_allclose(rest["adjoint"], whole["adjoint"], rtol=1e-13)


@pytest.mark.full
def test_a_condition_in_the_place_of_the_objective():
    inner, exact, carry = converged("logistic")
    condition = jax.grad(inner.objective, argnums=1)
    given = inner.replace(n=1, objective=None, optimality=condition)
    for options in ({"mode": "implicit_cg"}, {"mode": "neumann", "alpha": 0.5}):
        _, grad, _ = hypergrad(
            problems.outer,
            given,
            problems.theta(),
            start=carry,
            **options,
            **({"terms": 2000} if "alpha" in options else {}),
        )
        assert problems.relative_error(grad, exact) <= 1e-9


@pytest.mark.full
def test_a_condition_that_is_no_gradient_by_the_series():
    # w* = A^-1 theta with A not symmetric: the adjoint system has its transpose.
    a = jnp.array([[1.0, 0.5], [-0.3, 0.8]])
    inner = InnerProblem(
        init=lambda theta: jnp.linalg.solve(a, theta),
        step=lambda theta, w, t: w,
        n=1,
        optimality=lambda theta, w: a @ w - theta,
    )
    outer = lambda theta, w: w[0] + 3 * w[1] ** 2
    theta = jnp.array([1.0, 2.0])
    _, grad, _ = hypergrad(outer, inner, theta, mode="neumann", alpha=0.9, terms=300)
    exact = jax.grad(lambda theta: outer(theta, jnp.linalg.solve(a, theta)))(theta)
    np.testing.assert_allclose(grad, exact, rtol=1e-10)


@pytest.mark.full
def test_weights_and_theta_may_be_trees_of_mixed_dtypes():
    def objective(theta, w):
        one = jnp.sum((w["a"] - theta["x"]) ** 2 * jnp.array([1.0, 2.0, 3.0]))
        two = (w["b"] - theta["y"] * theta["y"]) ** 2
        cross = 0.1 * jnp.sum(w["a"]) * w["b"].astype(jnp.float64)
        return one + two.astype(jnp.float64) + cross

    def init(theta):
        return {"a": jnp.zeros(3), "b": jnp.zeros((), jnp.float32)}

    def step(theta, w, t):
        g = jax.grad(objective, argnums=1)(theta, w)
        return jax.tree.map(lambda w, g: w - jnp.asarray(0.2, w.dtype) * g, w, g)

    inner = InnerProblem(init=init, step=step, n=200, objective=objective)
    outer = lambda theta, w: jnp.sum(w["a"] ** 2) + w["b"].astype(jnp.float64)
    theta = {"x": jnp.ones(3), "y": jnp.array(0.7, jnp.float32)}
    _, exact, _ = hypergrad(outer, inner, theta)
    series = {"mode": "neumann", "alpha": 0.2, "terms": 100}
    for options in ({"mode": "implicit_cg"}, series):
        _, grad, _ = hypergrad(outer, inner, theta, **options)
        assert grad["y"].dtype == jnp.float32
        assert problems.relative_error(grad, exact) <= 1e-5


@pytest.mark.full(plain=["series"])
@pytest.mark.parametrize(
    "solver",
    [ConjugateGradients(), NeumannSeries(0.5, terms=100)],
    ids=["cg", "series"],
)
def test_a_narrow_leaf_does_not_make_the_others_rough(solver):
    scale = {"a": jnp.array([1.0, 2.0, 3.0]), "b": jnp.array([2.0, 1.5], jnp.float32)}
    b = {"a": jnp.array([1.0, -1.0, 0.3]), "b": jnp.array([1.0, 0.1], jnp.float32)}
    product = lambda v: jax.tree.map(jnp.multiply, scale, v)
    u, _ = solver(product, b)
    assert u["b"].dtype == jnp.float32
    np.testing.assert_allclose(u["a"], b["a"] / scale["a"], rtol=1e-11)
    half = jax.tree.map(lambda x: x.astype(jnp.bfloat16), (scale, b))
    product = lambda v: jax.tree.map(jnp.multiply, half[0], v)
    u, _ = solver(product, half[1])
    assert u["a"].dtype == jnp.bfloat16
    np.testing.assert_allclose(
        u["a"].astype(jnp.float32), b["a"] / scale["a"], rtol=2**-6
    )


def test_zeros_in_the_outer_gradient():
    # A dead unit: an entry of b is exactly zero.
    matrix = jnp.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 3.0]])
    b = jnp.array([1.0, 0.0, 0.0])
    u, _ = jax.jit(lambda b: ConjugateGradients()(lambda v: matrix @ v, b))(b)
    np.testing.assert_allclose(u, jnp.linalg.solve(matrix, b), rtol=1e-10, atol=1e-12)
    tiny, _ = jax.jit(lambda b: ConjugateGradients()(lambda v: matrix @ v, b))(
        1e-20 * b
    )
    np.testing.assert_allclose(tiny, 1e-20 * u, rtol=1e-10, atol=1e-32)


@pytest.mark.full(plain=["1.0", "10000.0"])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_many_weights_of_little_curvature_in_float32(scale):
    curvature = jnp.geomspace(1.0, 10.0, 20_000, dtype=jnp.float32) * jnp.float32(scale)
    b = jnp.sin(jnp.arange(20_000, dtype=jnp.float32))
    u, steps = jax.jit(lambda b: ConjugateGradients()(lambda v: curvature * v, b))(b)
    tol = 1.2e-7**0.75 * float(jnp.linalg.norm(b))  # 2 ** -23, the unit roundoff
    np.testing.assert_allclose(curvature * u, b, rtol=0, atol=1.1 * tol)
    assert int(steps) < 40


@pytest.mark.full
def test_a_flat_outer_loss_has_a_zero_adjoint():
    inner, _, carry = converged("ridge")
    outer = lambda theta, w: jnp.sum(theta["log_penalty"]) + 0.0 * jnp.sum(w)
    _, grad, info = hypergrad(
        outer, inner.replace(n=1), problems.theta(), start=carry, mode="implicit_cg"
    )
    np.testing.assert_array_equal(grad["log_penalty"], jnp.ones(problems.FEATURES))
    assert not np.any(info["adjoint"]) and float(info["residual"]) == 0.0
