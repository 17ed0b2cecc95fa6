"""hypergrad through the loop: reverse, forward, one_step, windows and warm starts."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import inner_problems as problems

from jaxopt_lab.bilevel import InnerProblem
from jaxopt_lab.bilevel import hypergrad as plain_hypergrad

CONVERGED = 400


def hypergrad(outer, inner, theta, start=None, **options):
    """Compiled as a whole: faster than operation by operation."""
    run = lambda theta, start: plain_hypergrad(
        outer, inner, theta, start=start, **options
    )
    return jax.jit(run)(theta, start)


@pytest.fixture(scope="module")
def ridge():
    return problems.descent(problems.ridge_objective, CONVERGED)


@functools.cache
def expected_of_two_layers():
    return by_hand(*two_layers())


def by_hand(outer, inner, theta):
    """Value and gradient of a Python loop."""

    def run(theta):
        c = inner.init(theta)
        for t in range(inner.n):
            c = inner.step(theta, c, jnp.int32(t))
        return outer(theta, inner.read(c))

    return jax.jit(jax.value_and_grad(run))(theta)


@pytest.mark.full(plain=["forward"])
@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_ridge_in_closed_form(ridge, mode):
    theta = problems.theta()
    value, grad, info = hypergrad(problems.outer, ridge, theta, mode=mode)
    expected = jax.grad(lambda th: problems.outer(th, problems.ridge_solution(th)))
    np.testing.assert_allclose(info["carry"], problems.ridge_solution(theta), 1e-12)
    np.testing.assert_allclose(value, problems.outer(theta, info["carry"]), 1e-12)
    assert problems.relative_error(grad, expected(theta)) <= 1e-9


def two_layers():
    """A few steps on a network, with momenta, a count, and a key in the carry."""
    x = jax.random.normal(jax.random.key(1), (6, 3))

    def loss(theta, w, noise):
        hidden = jnp.tanh((x + theta["noise"] * noise) @ w["in"])
        return jnp.mean((hidden @ w["out"] - jnp.sum(x, 1)) ** 2)

    def init(theta):
        w = {"in": theta["w0"], "out": jnp.ones(2)}
        zeros = jax.tree.map(jnp.zeros_like, w)
        return w, zeros, jnp.int32(0), jax.random.key(5)

    def step(theta, carry, t):
        w, momentum, count, key = carry
        key, now = jax.random.split(key)
        g = jax.grad(loss, argnums=1)(theta, w, jax.random.normal(now, x.shape))
        momentum = jax.tree.map(lambda m, g: theta["b1"] * m + g, momentum, g)
        w = jax.tree.map(lambda w, m: w - theta["lr"][t] * m, w, momentum)
        return w, momentum, count + 1, key

    theta = {
        "w0": 0.1 * jax.random.normal(jax.random.key(2), (3, 2)),
        "lr": jnp.linspace(0.1, 0.01, 5),
        "b1": jnp.array(0.8),
        "noise": jnp.array(0.3),
    }
    inner = InnerProblem(init=init, step=step, n=5, read=lambda c: c[0])
    outer = lambda theta, w: loss(theta, w, jnp.zeros_like(x))
    return outer, inner, theta


@pytest.mark.full
def test_forward_is_reverse_whatever_is_in_the_carry():
    outer, inner, theta = two_layers()
    value, grad = expected_of_two_layers()
    for mode in ("reverse", "forward"):
        got_value, got, info = hypergrad(outer, inner, theta, mode=mode)
        np.testing.assert_allclose(got_value, value, rtol=1e-14)
        assert problems.relative_error(got, grad) <= 1e-9
        assert int(info["carry"][2]) == inner.n


@pytest.mark.full
@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_each_leaf_keeps_its_dtype(mode):
    outer, inner, theta = two_layers()
    mixed = {**theta, "noise": theta["noise"].astype(jnp.float32), "b1": 0.8}
    _, grad, _ = hypergrad(outer, inner, mixed, mode=mode)
    assert grad["noise"].dtype == jnp.float32 and grad["b1"].dtype == jnp.float64
    # The sum of the steps' contributions is rounded to float32 as it grows.
    _, wide = expected_of_two_layers()
    np.testing.assert_allclose(grad["noise"], wide["noise"], rtol=1e-5)


@pytest.mark.full
@pytest.mark.parametrize("remat", ["none", "step", "sqrt", 3, "auto"])
def test_remat_changes_nothing(remat):
    outer, inner, theta = two_layers()
    value, grad, _ = hypergrad(outer, inner, theta, remat=remat)
    expected = expected_of_two_layers()
    np.testing.assert_allclose(value, expected[0], rtol=1e-14)
    assert problems.relative_error(grad, expected[1]) <= 1e-12


@pytest.mark.full
def test_one_step_is_the_derivative_of_the_last_step():
    outer, inner, theta = two_layers()
    value, grad, info = hypergrad(
        outer, inner, theta, mode="one_step", allow_unused=True
    )
    carry = inner.init(theta)
    for t in range(inner.n - 1):
        carry = inner.step(theta, carry, t)

    def last(theta):
        after = inner.step(theta, carry, inner.n - 1)
        return outer(theta, inner.read(after))

    expected_value, expected = jax.jit(jax.value_and_grad(last))(theta)
    np.testing.assert_allclose(value, expected_value, rtol=1e-13)
    assert problems.relative_error(grad, expected) <= 1e-13
    assert not np.any(grad["w0"]) and np.any(grad["b1"])
    # Of the schedule, the last step has seen the last entry alone.
    assert np.flatnonzero(grad["lr"]).tolist() == [inner.n - 1]
    assert int(info["carry"][2]) == inner.n


@pytest.mark.full
def test_one_step_of_a_single_step_holds_the_first_carry_constant():
    outer, inner, theta = two_layers()
    _, grad, _ = hypergrad(
        outer, inner.replace(n=1), theta, mode="one_step", allow_unused=True
    )
    _, whole, _ = hypergrad(outer, inner.replace(n=1), theta)
    np.testing.assert_allclose(grad["b1"], whole["b1"], rtol=1e-13)
    assert not np.any(grad["w0"]) and np.any(whole["w0"])


@pytest.mark.full
@pytest.mark.parametrize("mode", ["reverse", "forward", "one_step"])
def test_a_warm_start_goes_on_and_is_held_constant(mode):
    outer, inner, theta = two_layers()
    whole, _, _ = hypergrad(outer, inner, theta)
    _, _, info = hypergrad(outer, inner.replace(n=3), theta)
    rest = inner.replace(n=2)

    def run(start, theta):
        return hypergrad(
            outer, rest, theta, mode=mode, start=start, t0=3, allow_unused=True
        )

    value, grad, after = run(info["carry"], theta)
    np.testing.assert_allclose(value, whole, rtol=1e-13)
    assert int(after["carry"][2]) == inner.n
    assert not np.any(grad["w0"])
    assert not np.any(grad["lr"][:3]) and np.all(grad["lr"][4:])

    weights, *others = info["carry"]

    def total(weights):
        value, grad, after = run((weights, *others), theta)
        return value + jnp.sum(grad["lr"]) + jnp.sum(after["carry"][0]["out"])

    by_value = jax.jit(jax.grad(lambda w: run((w, *others), theta)[0]))(weights)
    assert not any(np.any(x) for x in jax.tree.leaves(by_value))
    by_all = jax.jit(jax.grad(total))(weights)
    assert not any(np.any(x) for x in jax.tree.leaves(by_all))


@pytest.mark.full
def test_windows_that_carry_over_are_truncated_backpropagation():
    outer, inner, theta = two_layers()
    start, truncated = None, None
    for window in range(2):
        _, truncated, info = hypergrad(
            outer,
            inner.replace(n=2),
            theta,
            start=start,
            t0=2 * window,
            allow_unused=True,
        )
        start = info["carry"]
    carry = inner.init(theta)
    for t in range(2):
        carry = inner.step(theta, carry, t)

    def second(theta):
        c = carry
        for t in range(2, 4):
            c = inner.step(theta, c, t)
        return outer(theta, inner.read(c))

    assert problems.relative_error(truncated, jax.jit(jax.grad(second))(theta)) <= 1e-12


@pytest.mark.full
def test_without_an_outer_loss_the_window_losses_are_summed():
    outer, inner, theta = two_layers()
    every = inner.replace(
        n=3, window_loss=lambda theta, c, t: outer(theta, c[0]) * (1.0 + t)
    )

    def expected(theta):
        total, carry = 0.0, inner.init(theta)
        for t in range(every.n):
            carry = inner.step(theta, carry, t)
            total = total + outer(theta, carry[0]) * (1.0 + t)
        return total

    value, grad = jax.jit(jax.value_and_grad(expected))(theta)
    for mode in ("reverse", "forward"):
        got_value, got, _ = hypergrad(None, every, theta, mode=mode)
        np.testing.assert_allclose(got_value, value, rtol=1e-13)
        assert problems.relative_error(got, grad) <= 1e-11


def test_under_vmap_and_once_more_grad():
    inner = InnerProblem(
        init=lambda theta: jnp.ones(()),
        step=lambda theta, w, t: w - theta["lr"] * jnp.sin(theta["a"] * w),
        n=3,
    )
    outer = lambda theta, w: w**2

    def of_lr(run, lr):
        return run(outer, inner, {"lr": lr, "a": jnp.array(0.7)})[1]["a"]

    lrs = jnp.array([0.1, 0.4])
    both = jax.vmap(jax.value_and_grad(lambda lr: of_lr(hypergrad, lr)))(lrs)
    for i, lr in enumerate(lrs):
        exact = jax.value_and_grad(lambda lr: of_lr(by_hand, lr))(lr)
        np.testing.assert_allclose([x[i] for x in both], exact, rtol=1e-12)


@pytest.mark.full(plain=["neumann"])
@pytest.mark.parametrize(
    "options",
    [
        {"mode": "implicit_cg"},
        {"mode": "neumann", "alpha": 0.3},
        {"mode": "es", "key": jax.random.key(0), "sigma": 0.1, "pairs": 2},
    ],
    ids=lambda options: options["mode"],
)
def test_nothing_flows_back_to_the_start(options):
    inner = problems.descent(problems.ridge_objective, 2)

    def total(start):
        value, grad, info = hypergrad(
            problems.outer, inner, problems.theta(), start=start, **options
        )
        return value + jnp.sum(grad["log_penalty"]) + jnp.sum(info["carry"])

    start = jnp.ones(problems.FEATURES)
    value, slope = jax.value_and_grad(total)(start)
    assert not np.any(slope) and value != total(2 * start)
