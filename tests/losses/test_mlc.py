"""MLC against NumPy: rates of features and of Sinkhorn's soft clusters, two views."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.losses import coding_rate, mlc

RNG = np.random.default_rng(0)
X, C = RNG.normal(size=(5, 2, 3)), RNG.normal(size=(5, 2, 4))
EPS, ETA = 0.6, 0.4


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def plainly(x, c):
    n, views, d = x.shape
    z, gamma = unit(unit(x).mean(axis=1)), 0
    for a in range(views):
        kernel = np.exp(unit(c[:, a]) @ unit(c[:, a]).T / ETA)
        for _ in range(1000):
            kernel = kernel / kernel.sum(axis=1, keepdims=True)
            kernel = kernel / kernel.sum(axis=0, keepdims=True)
        gamma = gamma + kernel / views
    det = lambda a: np.linalg.slogdet(np.eye(d) + d / EPS**2 * a)[1]
    clusters = np.mean([det((z.T * share) @ z) for share in gamma.T])
    return clusters - det(z.T @ z / n)


@jax.jit
def _graded(x, c, where):
    run = lambda x, c: mlc(x, clusters=c, eps=EPS, eta=ETA, where=where)
    return jax.value_and_grad(run, argnums=(0, 1))(x, c)


def graded(x, c, where=None):
    return _graded(x, c, np.ones(len(x)) if where is None else where)


def test_it_is_the_difference_of_rates_with_the_derivative_of_both_heads():
    value, slopes = graded(X, C)
    np.testing.assert_allclose(value, plainly(X, C), rtol=1e-10)
    ways, h = [RNG.normal(size=a.shape) for a in (X, C)], 1e-5
    ends = [plainly(X + s * h * ways[0], C + s * h * ways[1]) for s in (1, -1)]
    along = sum(np.sum(s * w) for s, w in zip(slopes, ways, strict=True))
    np.testing.assert_allclose(along, (ends[0] - ends[1]) / (2 * h), rtol=1e-6)
    rotations = [np.linalg.qr(RNG.normal(size=(s, s)))[0] for s in (3, 4)]
    turned = graded(2 * X @ rotations[0], 3 * C @ rotations[1])[0]
    np.testing.assert_allclose(turned, value, rtol=1e-10)
    order = np.array([3, 1, 4, 0, 2])
    np.testing.assert_allclose(graded(X[order], C[order])[0], value, rtol=1e-10)


def test_one_view_is_two_equal_ones_and_a_dropped_example_is_none():
    twice = graded(np.repeat(X[:, :1], 2, axis=1), np.repeat(C[:, :1], 2, axis=1))[0]
    one = jax.jit(lambda x, c: mlc(x, clusters=c, eps=EPS, eta=ETA))
    np.testing.assert_allclose(one(X[:, 0], C[:, 0]), twice, rtol=1e-10)
    where = np.array([1.0, 1, 0, 1, 1])
    holes = [np.where(where[:, None, None] == 0, np.nan, a) for a in (X, C)]
    value, slopes = graded(*holes, where)
    kept = where != 0
    np.testing.assert_allclose(value, plainly(X[kept], C[kept]), rtol=1e-10)
    for slope in slopes:
        assert np.all(np.isfinite(slope)) and not np.any(slope[2])


@pytest.mark.full
def test_descent_parts_two_mixed_subspaces():
    """Two lines whose examples begin as mixtures of both."""
    labels = np.arange(8) % 2
    x = np.eye(2)[labels] * 0.6 + 0.4 + 0.02 * RNG.normal(size=(8, 2))

    @jax.jit
    def descended(x):
        loss = lambda both: mlc(both[0], clusters=both[1], eps=EPS, eta=0.1)

        def step(both, _):
            return both - 0.2 * jax.grad(loss)(both), loss(both)

        both, losses = jax.lax.scan(step, jnp.stack([x, x]), None, length=60)
        return both, losses, coding_rate(both[0], eps=EPS)

    (z, _), losses, rate = descended(x)
    z = unit(z)
    assert losses[-1] < losses[0] - 0.1
    # Within a class one direction, between the classes another, at a right angle.
    cosines = np.abs(z @ z.T)
    same = labels[:, None] == labels
    assert cosines[same].min() > 0.99 and cosines[~same].max() < 0.1
    np.testing.assert_allclose(rate, 2 * np.log(1 + 1 / EPS**2), rtol=0.01)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"features": X[0, 0]}, r"features must be real .* shape \(n, d\) or \(n, vie"),
        ({"clusters": C[:, :1]}, r"clusters must have shape \(5, 2, 4\)"),
        ({"eta": -1.0}, "eta must be above 0; got -1.0"),
        ({"iterations": 0}, "iterations must be a whole number of at least 1; got 0"),
        ({"where": np.ones(2)}, r"where must have shape \(5,\); got \(2,\)"),
    ],
)
def test_what_it_refuses(change, words):
    with pytest.raises(InputError, match=words):
        mlc(**{"features": X, "clusters": C, **change})
