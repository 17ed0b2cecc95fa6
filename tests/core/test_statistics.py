"""Means and variances of batches against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.statistics import (
    batch_statistics,
    moved,
    moved_in_sequence,
    pooled,
    require_values,
)

RNG = np.random.default_rng(0)
X = RNG.normal(3.0, 2.0, (6, 5, 3))
WEIGHTS = RNG.uniform(0.5, 2.0, (6, 5, 1)) * (RNG.uniform(size=(6, 5, 1)) > 0.3)


def weighted(x, w, ddof=0):
    w = np.broadcast_to(w, x.shape)
    count = w.sum((0, 1))
    mean = (w * x).sum((0, 1)) / count
    return mean, (w * (x - mean) ** 2).sum((0, 1)) / (count - ddof), count


def test_weighted_statistics_whole_and_over_an_axis():
    poisoned = np.where(WEIGHTS > 0, X, np.nan)
    halves = lambda a: a.reshape(2, 3, *a.shape[1:])

    @jax.jit
    def run(x, w):
        options = {"axis": (0, 1), "ddof": 1}
        each = lambda x, w: batch_statistics(x, weights=w, axis_name="d", **options)
        return (
            batch_statistics(x, weights=w, **options),
            jax.vmap(each, axis_name="d")(halves(x), halves(w)),
            batch_statistics(x, weights=w, fast_variance=True, **options),
            batch_statistics(x, weights=w, about=jnp.full((1, 1, 3), 1.0), axis=(0, 1)),
            jax.grad(lambda x: batch_statistics(x, weights=w, axis=(0, 1)).var.sum())(
                x
            ),
        )

    whole, divided, fast, about, slope = run(poisoned, WEIGHTS)
    expected = weighted(X, WEIGHTS, 1)
    for got, each, quick, value in zip(whole, divided, fast, expected, strict=True):
        value = np.broadcast_to(value, (3,))
        np.testing.assert_allclose(np.broadcast_to(got, (1, 1, 3))[0, 0], value)
        np.testing.assert_allclose(np.broadcast_to(quick, (1, 1, 3))[0, 0], value)
        np.testing.assert_allclose(np.broadcast_to(each, (2, 1, 1, 3))[1, 0, 0], value)
    mean, var, count = weighted(X, WEIGHTS)
    np.testing.assert_allclose(about.var[0, 0], var + (mean - 1) ** 2)
    np.testing.assert_allclose(slope, 2 * WEIGHTS * (X - mean) / count, atol=1e-12)


def test_statistics_of_parts_pooled_are_those_of_the_whole():
    factors = np.array([1.0, 2.0, 0.0, 0.5, 1.0, 3.0]).reshape(6, 1, 1)
    halves = lambda a: a.reshape(2, 3, *a.shape[1:])

    @jax.jit
    def run(x, w):
        parts = batch_statistics(x, 1, weights=w)
        parts = parts._replace(count=parts.count * factors)
        divided = jax.tree.map(halves, parts)
        each = lambda p: pooled(p, 0, axis_name="d")
        plain = pooled(batch_statistics(x, 1), 0)
        return pooled(parts, 0), jax.vmap(each, axis_name="d")(divided), plain

    whole, divided, plain = run(X, WEIGHTS)
    for got, each, value in zip(
        whole, divided, weighted(X, WEIGHTS * factors), strict=True
    ):
        value = np.broadcast_to(value, (3,))
        np.testing.assert_allclose(np.broadcast_to(got, (1, 1, 3))[0, 0], value)
        np.testing.assert_allclose(np.broadcast_to(each, (2, 1, 1, 3))[1, 0, 0], value)
    np.testing.assert_allclose(plain.var[0, 0], X.var((0, 1)))


def test_variances_have_the_derivatives_of_all_orders():
    plain = lambda x, w: (
        jnp.sum(w * (x - jnp.sum(w * x) / jnp.sum(w)) ** 2) / jnp.sum(w)
    )
    parts = lambda x, w: batch_statistics(x.reshape(2, 2), 1, weights=w.reshape(2, 2))
    forms = (
        lambda x, w: batch_statistics(x, 0, weights=w).var[0],
        lambda x, w: pooled(parts(x, w), 0).var[0, 0],
    )
    x, w = X[:4, 0, 0], np.array([1.0, 2.0, 0.5, 3.0])
    derivatives = lambda f: jax.jit(jax.jacfwd(jax.hessian(f, (0, 1)), (0, 1)))(x, w)
    wanted = jax.tree.leaves(derivatives(plain))
    for form in forms:
        for got, value in zip(jax.tree.leaves(derivatives(form)), wanted, strict=True):
            np.testing.assert_allclose(got, value, atol=1e-12)


def test_plain_statistics_are_numpys_and_padding_alone_gives_zeros():
    @jax.jit
    def run(x):
        nothing = jnp.zeros((6, 1, 1))
        return (
            batch_statistics(x, (0, 1), ddof=1),
            batch_statistics(x, (0, 1), weights=nothing, ddof=1),
        )

    plain, empty = run(X)
    np.testing.assert_allclose(plain.mean[0, 0], X.mean((0, 1)))
    np.testing.assert_allclose(plain.var[0, 0], X.var((0, 1), ddof=1))
    assert plain.count.item() == 30 and empty.count.item() == 0
    assert not np.any(empty.mean) and not np.any(empty.var)


def test_two_passes_keep_the_digits_that_one_loses():
    x = (1000 + RNG.normal(size=(512, 1))).astype(np.float32)
    run = jax.jit(batch_statistics, static_argnames=("axis", "fast_variance"))
    true = x.astype(np.float64).var()
    assert abs(run(x, axis=0).var.item() / true - 1) < 1e-5
    assert abs(run(x, axis=0, fast_variance=True).var.item() / true - 1) > 1e-3


def test_one_part_after_another_is_a_loop_without_the_empty_ones():
    new, count = RNG.normal(size=(4, 3)), np.array([2.0, 0.0, 3.0, 1.0])
    old = RNG.normal(size=3)
    expected = old
    for value, n in zip(new, count, strict=True):
        expected = 0.7 * expected + 0.3 * value if n else expected
    each = jax.vmap(
        lambda n, c: moved_in_sequence(old, n, c, 0.3, axis_name="d"), axis_name="d"
    )

    @jax.jit
    def run(new, count):
        one = old
        for i in range(4):
            one = moved(one, new[i], count[i], 0.3)
        halves = new.reshape(2, 2, 3), count.reshape(2, 2, 1)
        return one, moved_in_sequence(old, new, count[:, None], 0.3), each(*halves)

    looped, closed, divided = run(new, count)
    for got in (looped, closed, *divided):
        np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_a_batch_of_one_value_is_refused():
    require_values("norm", np.ones((1, 2, 3)), (0, 1))
    with pytest.raises(InputError, match=r"norm .* two values .* \(1, 1, 3\), 1 of"):
        require_values("norm", np.ones((1, 1, 3)), (0, 1))


def test_values_of_all_devices_are_counted():
    def one(x):
        require_values("norm", x, (0, 1), "data")
        return x

    over = jax.vmap(one, axis_name="data")
    assert jax.eval_shape(over, np.ones((2, 1, 1, 3))).shape == (2, 1, 1, 3)
    with pytest.raises(InputError, match="1 of each"):
        jax.eval_shape(over, np.ones((1, 1, 1, 3)))
