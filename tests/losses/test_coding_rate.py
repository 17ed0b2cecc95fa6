"""Coding rates against NumPy's determinants, and the properties that they have."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.losses import coding_rate, coding_rate_reduction

RNG = np.random.default_rng(0)
# More examples than dimensions, and fewer: the two sides of the determinant.
TALL, WIDE = RNG.normal(size=(6, 3)), RNG.normal(size=(4, 5))
SIDES = pytest.mark.parametrize("x", [TALL, WIDE], ids=["tall", "wide"])
EPS = 0.6


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def plain_rate(z, share=None):
    """With the large determinant, d x d, whatever the sizes are."""
    share = np.ones(len(z)) if share is None else share
    d = z.shape[1]
    inner = (z.T * share) @ z * d / (share.sum() * EPS**2)
    return np.linalg.slogdet(np.eye(d) + inner)[1]


def plain_reduction(z, membership):
    z, sizes = unit(z), membership.sum(axis=0)
    parts = [m * plain_rate(z, membership[:, j]) for j, m in enumerate(sizes) if m]
    return plain_rate(z) - sum(parts) / len(z)


def shares(n, k):
    p = RNG.uniform(0.1, 1, (n, k))
    return p / p.sum(axis=1, keepdims=True)


@jax.jit
def _reduction(x, membership, where):
    run = lambda x, m: coding_rate_reduction(x, m, eps=EPS, block=2, where=where)
    return jax.value_and_grad(run, argnums=(0, 1))(x, membership)


def reduction(x, membership, where=None):
    """With as many clusters as examples, some of them empty: one program a size."""
    n, k = membership.shape
    where = np.ones(n) if where is None else where
    padded = np.concatenate([membership, np.zeros((n, n - k))], axis=1)
    value, (slope, tilt) = _reduction(x, padded, where)
    return value, (slope, tilt[:, :k])


rated = jax.jit(jax.value_and_grad(lambda x: coding_rate(x, eps=EPS)))


@SIDES
def test_values_and_derivatives_are_those_of_the_large_determinant(x):
    membership = shares(len(x), 3)
    value, slopes = reduction(x, membership)
    np.testing.assert_allclose(value, plain_reduction(x, membership), rtol=1e-10)
    found, slope = rated(x)
    np.testing.assert_allclose(found, plain_rate(unit(x)), rtol=1e-12)
    way, tilt, h = RNG.normal(size=x.shape), RNG.normal(size=membership.shape), 1e-5
    rise = plain_rate(unit(x + h * way)) - plain_rate(unit(x - h * way))
    np.testing.assert_allclose(np.sum(slope * way), rise / (2 * h), rtol=1e-7)
    ends = [
        plain_reduction(x + s * h * way, membership + s * h * tilt) for s in (1, -1)
    ]
    along = np.sum(slopes[0] * way) + np.sum(slopes[1] * tilt)
    np.testing.assert_allclose(along, (ends[0] - ends[1]) / (2 * h), rtol=1e-7)


@SIDES
def test_one_cluster_single_clusters_and_blocks(x):
    n, d = x.shape
    whole = float(rated(x)[0])
    uniform = reduction(x, np.full((n, n), 1 / n))[0]
    np.testing.assert_allclose(uniform, 0, atol=1e-12)
    alone = reduction(x, np.eye(n))[0]
    np.testing.assert_allclose(alone, whole - np.log(1 + d / EPS**2), rtol=1e-10)
    labels = np.arange(n) % 2
    given = np.eye(2)[labels]
    around = (labels[:, None] == labels) / given.sum(axis=0)[labels]
    by_class, by_block = reduction(x, given)[0], reduction(x, around)[0]
    np.testing.assert_allclose(by_block, by_class, rtol=1e-10)
    rotation = np.linalg.qr(RNG.normal(size=(d, d)))[0]
    np.testing.assert_allclose(
        reduction(7 * x @ rotation, given)[0], by_class, rtol=1e-10
    )


def test_the_rate_is_largest_where_the_directions_are_spread_alike():
    spread = np.concatenate([np.eye(3), -np.eye(3)])
    value, slope = rated(spread)
    np.testing.assert_allclose(value, 3 * np.log(1 + 1 / EPS**2), rtol=1e-12)
    np.testing.assert_allclose(slope, 0, atol=1e-12)
    assert rated(TALL)[0] < value and rated(RNG.normal(size=(6, 3)))[0] < value


@SIDES
def test_empty_clusters_zeros_and_dropped_examples(x):
    membership = np.eye(3)[np.arange(len(x)) % 2]
    value, slopes = reduction(x, membership)
    np.testing.assert_allclose(value, plain_reduction(x, membership), rtol=1e-10)
    assert all(np.all(np.isfinite(s)) for s in slopes)
    flat, slopes = reduction(np.zeros_like(x), membership)
    assert float(flat) == 0 and not any(np.any(s) for s in slopes)
    where = np.arange(len(x)) != 1
    filled = np.where(where[:, None], x, np.nan)
    value, slopes = reduction(filled, membership, where.astype(np.float64))
    kept = plain_reduction(x[where], membership[where])
    np.testing.assert_allclose(value, kept, rtol=1e-10)
    assert all(np.all(np.isfinite(s)) and not np.any(s[1]) for s in slopes)


@pytest.mark.full
def test_memory_of_the_gradient_is_that_of_a_block():
    shape = jax.ShapeDtypeStruct((64, 32), jnp.float32)
    square = jax.ShapeDtypeStruct((64, 64), jnp.float32)

    def temporary(block):
        run = lambda x, m: coding_rate_reduction(x, m, block=block)
        compiled = jax.jit(jax.grad(run)).lower(shape, square).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    whole, blocked = temporary(64), temporary(4)
    assert 4 * blocked < whole, (blocked, whole)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"z": TALL[0]}, "z must be real floating numbers with 2 axes"),
        ({"membership": shares(4, 2)}, r"membership must have shape \(6, 2\)"),
        ({"membership": np.ones((6, 2))}, "membership must be probabilities"),
        ({"eps": 0.0}, "eps must be above 0; got 0.0"),
        ({"block": 0}, "block must be a whole number of at least 1; got 0"),
        ({"where": np.ones(2)}, r"where must have shape \(6,\); got \(2,\)"),
    ],
)
def test_what_it_refuses(change, words):
    given = {"z": TALL, "membership": shares(6, 2), **change}
    with pytest.raises(InputError, match=words):
        coding_rate_reduction(**given)
