"""The hierarchical group lasso, and its proximal step against the definition."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.transforms.proximal_group_lasso import (
    group_lasso_factors,
    hierarchical_group_lasso,
    proximal_group_lasso,
)

RNG = np.random.default_rng(0)
U, V = RNG.normal(size=(5, 4)), RNG.normal(size=(4, 3))


def penalty(x):
    """The sum over tails of columns, by definition; ``x`` may have axes in front."""
    return sum(np.sqrt(np.sum(x[..., b:] ** 2, (-1, -2))) for b in range(x.shape[-1]))


def test_the_lasso_is_the_sum_of_the_norms_of_tails():
    q = np.linalg.qr(RNG.normal(size=(4, 4)))[0]
    signs = np.diag([1.0, -1, -1, 1])
    dead = U * [1, 1, 0, 0]
    pairs = [(U, V), (U @ signs, signs @ V), (U @ q, q.T @ V), (dead, 0 * V)]

    @jax.jit
    def run(us, vs):
        return jax.vmap(jax.value_and_grad(hierarchical_group_lasso))(us, vs)

    value, grad = run(*map(np.stack, zip(*pairs, strict=True)))
    for (u, v), found in zip(pairs, value, strict=True):
        np.testing.assert_allclose(found, penalty(u) + penalty(v.T), rtol=1e-12)
    np.testing.assert_allclose(value[0], value[1], rtol=1e-12)
    assert abs(value[0] - value[2]) > 1e-3  # no other rotation
    assert np.all(np.isfinite(grad)) and not np.any(grad[3][:, 2:])
    tails = [np.linalg.norm(U[:, b:]) for b in range(4)]
    weights = np.cumsum(1 / np.array(tails))
    np.testing.assert_allclose(grad[0], U * weights, rtol=1e-12)


def test_the_lasso_of_one_component_is_two_norms():
    u, v = U[:, :1], V[:1]
    want = np.linalg.norm(u) + np.linalg.norm(v)
    found = hierarchical_group_lasso(jnp.asarray(u), jnp.asarray(v))
    np.testing.assert_allclose(found, want, rtol=1e-12)


def test_the_proximal_step_is_the_minimum_of_the_definition():
    """Of a convex function, so that no point near it may be lower."""
    scale = np.array([1.0, 0.3, 0.5, 0.05])
    x = U * scale
    strengths = np.array([0.0, 0.02, 0.2, 0.8, 9.0])
    run = jax.jit(jax.vmap(lambda s: group_lasso_factors(jnp.asarray(x), 1, s)))
    for s, f in zip(strengths, np.asarray(run(strengths)), strict=True):
        assert np.all(np.diff(f) <= 0) and np.all((f >= 0) & (f <= 1))

        def objective(z, s=s):
            return 0.5 * np.sum((z - x) ** 2, (-1, -2)) + s * penalty(z)

        z = x * f
        moves = RNG.normal(size=(4000, *x.shape)) * (
            RNG.uniform(size=(4000, 1, 4)) < 0.5
        )
        for size in (1e-1, 1e-3, 1e-5):
            assert objective(z) <= np.min(objective(z + size * moves)) + 1e-12
        if np.all(f > 0):  # the gradient vanishes
            tails = np.array([np.linalg.norm(z[:, b:]) for b in range(4)])
            slope = z - x + s * z * np.cumsum(1 / tails)
            np.testing.assert_allclose(slope, 0, atol=1e-12)
    np.testing.assert_array_equal(run(strengths)[0], np.ones(4))
    np.testing.assert_array_equal(run(strengths)[-1], np.zeros(4))


def test_the_link_takes_the_step_after_the_update_and_leaves_other_leaves():
    params = {"a": {"u": U, "v": V}, "b": {"kernel": U}}
    updates = jax.tree.map(lambda p: 0.1 * np.cos(p), params)

    @jax.jit
    def run(params, updates, s):
        tx = proximal_group_lasso(s)
        out = tx.update(updates, tx.init(params), params)[0]
        scheduled = proximal_group_lasso(lambda count: s * (count + 1))
        state = scheduled.init(params)
        state = scheduled.update(updates, state, params)[1]
        return out, scheduled.update(updates, state, params)[0]

    out, twice = run(params, updates, 0.7)
    for found, s in ((out, 0.7), (twice, 1.4)):
        for name, axis in (("u", 1), ("v", 0)):
            p, u = params["a"][name], updates["a"][name]
            f = np.asarray(group_lasso_factors(jnp.asarray(p + u), axis, s))
            want = (p + u) * np.expand_dims(f, 1 - axis)
            np.testing.assert_allclose(p + found["a"][name], want, atol=1e-12)
        np.testing.assert_array_equal(found["b"]["kernel"], updates["b"]["kernel"])
    jax.tree.map(np.testing.assert_array_equal, run(params, updates, 0.0)[0], updates)


def test_an_axis_may_be_counted_from_the_end():
    ends = []
    for axis in (0, -2):
        tx = proximal_group_lasso(0.7, components=[("v", axis)])
        tree = {"v": jnp.asarray(V)}
        ends.append(tx.update(tree, tx.init(tree), tree)[0]["v"])
    np.testing.assert_array_equal(*ends)
    with pytest.raises(InputError, match="no axis -3"):
        proximal_group_lasso(components=[("v", -3)]).init({"v": V})


def test_descent_prunes_exactly_and_is_differentiable():
    """A target of rank 1: the tails of both factors become exact zeros."""
    target = np.outer(np.arange(1.0, 4), [1.0, -1])
    start = {"u": np.array([[1.0, 0.1], [2, 0.1], [2, -0.1]])}
    start["v"] = np.array([[1.0, -1], [0.1, 0.1]])

    def distance(params):
        return jnp.sum((params["u"] @ params["v"] - target) ** 2)

    @jax.jit
    def run(params, s):
        tx = optax.chain(optax.sgd(0.02), proximal_group_lasso(0.02 * s))

        def step(carry, _):
            params, state = carry
            grad = jax.grad(distance)(params)
            updates, state = tx.update(grad, state, params)
            return (jax.tree.map(jnp.add, params, updates), state), None

        carry = (jax.tree.map(jnp.asarray, params), tx.init(params))
        params = jax.lax.scan(step, carry, None, length=400)[0][0]
        return jnp.sum(params["u"][:, 0]), params

    of = jax.jit(jax.value_and_grad(run, 1, has_aux=True))
    (_, params), slope = of(start, 0.5)
    assert not np.any(params["u"][:, 1]) and not np.any(params["v"][1])
    assert np.linalg.norm(params["u"] @ params["v"] - target) < 0.5
    h = 1e-5
    near = [run(start, 0.5 + d)[0] for d in (h, -h)]
    np.testing.assert_allclose(slope, (near[0] - near[1]) / (2 * h), rtol=1e-5)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: proximal_group_lasso(-1.0), "strength"),
        (lambda: proximal_group_lasso().init({"kernel": U}), "no leaf's path"),
        (lambda: proximal_group_lasso().init({"u": U, "v": V + 1j}), "complex"),
        (
            lambda: proximal_group_lasso(components=[("w", 2)]).init({"w": U}),
            "no axis 2",
        ),
        (lambda: proximal_group_lasso().update({"u": U, "v": V}, ()), "needs params"),
        (lambda: hierarchical_group_lasso(jnp.array(U), jnp.array(U)), "shapes"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(InputError, match=words) as error:
        call()
    assert "\n" not in str(error.value)
