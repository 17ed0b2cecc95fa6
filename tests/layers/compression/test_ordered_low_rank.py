"""Ordered dropout of ranks: draws, shrinking, and what a linear layer learns."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import (
    merge_if_cheaper,
    one_layer_ranks,
    ordered_low_rank,
    ordered_rank_mask,
    prune_ranks,
    sample_layer_rank,
    shrink_ranks,
    slice_rank,
)
from jaxopt_lab.layers.compression.ordered_ranks import layer_rank

KERNEL = np.random.default_rng(0).normal(size=(8, 6))


def of_kernel(key, shape, dtype):
    return jnp.asarray(KERNEL, dtype)


LAYER = ordered_low_rank(8, out=6, kernel_init=of_kernel)


@functools.cache
def pair():
    return jax.tree.map(np.asarray, jax.jit(LAYER.init)(jax.random.key(0))[0])


@functools.cache
def outputs():
    """The layer at every rank of a traced number, and at one for each example."""
    x = np.random.default_rng(1).normal(size=(6, 2, 8))
    ranks = np.arange(1, 7)

    traces = []

    @jax.jit
    def run(params, x, rank):
        traces.append(rank.shape)
        return LAYER.apply(params, {}, (x, rank), train=True)[0]

    each = [np.asarray(run(pair(), x, jnp.asarray(b))) for b in ranks]
    assert traces == [()]
    together = np.asarray(run(pair(), x, jnp.asarray(ranks)))
    return x, each, together


def test_full_rank_at_the_start_is_the_matrix():
    u, v = pair()["u"], pair()["v"]
    np.testing.assert_allclose(u @ v, KERNEL, atol=1e-12)
    np.testing.assert_allclose(np.sum(u * u, 0), np.sum(v * v, 1), rtol=1e-12)
    x, each, _ = outputs()
    np.testing.assert_allclose(each[-1], x @ KERNEL, atol=1e-12)


def test_a_traced_rank_is_a_slice_and_compiles_once():
    x, each, together = outputs()
    for b, y in enumerate(each, 1):
        small = slice_rank(pair(), b)
        np.testing.assert_allclose(y, x @ small["u"] @ small["v"], atol=1e-12)
        np.testing.assert_allclose(together[b - 1], y[b - 1], atol=1e-12)


def test_training_draws_every_rank_alike_and_evaluation_none():
    layer = ordered_low_rank(3, share=0.75)
    params = {"u": np.eye(3), "v": np.eye(3)}

    @jax.jit
    def run(keys, x):
        train = lambda key: layer.apply(params, {}, x, train=True, key=key)[0]
        still = layer.apply(params, {}, x, train=False, key=keys[0])[0]
        return jax.vmap(train)(keys), still

    drawn, still = run(jax.random.split(jax.random.key(1), 4000), np.ones((1, 3)))
    counts = np.bincount(np.sum(drawn, (1, 2)).astype(int), minlength=4)
    expected = np.array([0, 1000, 1000, 2000])
    assert np.all(np.abs(counts - expected) <= 5 * np.sqrt(expected))
    np.testing.assert_array_equal(still, np.ones((1, 3)))


def test_draws_of_layer_and_rank_have_the_mean_of_all_pairs_as_gradient():
    ranks = (2, 3)
    layers = [ordered_low_rank(3, rank=r) for r in ranks]
    draw = np.random.default_rng(3).normal
    params = [{"u": draw(size=(3, r)), "v": draw(size=(r, 3))} for r in ranks]
    x = draw(size=(4, 3))

    def loss(params, layer, rank):
        each = one_layer_ranks(layer, rank, ranks)
        y = jnp.asarray(x)
        for i, (part, p) in enumerate(zip(layers, params, strict=True)):
            y = jnp.tanh(part.apply(p, {}, (y, each[i]), train=True)[0])
        return jnp.sum(y * y)

    @jax.jit
    def run(params, keys):
        of = jax.vmap(jax.grad(loss), (None, 0, 0))
        drawn = jax.vmap(lambda key: jnp.stack(sample_layer_rank(key, ranks)))(keys)
        every = jnp.stack(layer_rank(jnp.arange(5), ranks), 1)
        return every, drawn, of(params, *every.T), of(params, *drawn.T)

    every, drawn, exact, sampled = run(
        params, jax.random.split(jax.random.key(2), 3000)
    )
    pairs = [(i, j) for i, r in enumerate(ranks) for j in range(1, r + 1)]
    assert [tuple(p) for p in np.asarray(every).tolist()] == pairs
    assert {tuple(p) for p in np.asarray(drawn).tolist()} == set(pairs)
    for a, b in zip(jax.tree.leaves(exact), jax.tree.leaves(sampled), strict=True):
        error = np.std(a, 0) / np.sqrt(3000)
        assert np.all(np.abs(np.mean(a, 0) - np.mean(b, 0)) <= 5 * error + 1e-12)


@pytest.mark.full(plain=["pca"])
@pytest.mark.parametrize("task", ["svd", "pca"])
def test_a_linear_layer_learns_the_best_approximation_of_every_rank(task):
    """White inputs: the singular vectors of the map; identity: principal components."""
    rng = np.random.default_rng(2)
    q, _ = np.linalg.qr(rng.normal(size=(8, 8)))
    z, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    values = np.arange(6, 0, -1) / 6 + 0.5
    if task == "svd":
        layer, x = ordered_low_rank(8, out=6, kernel_init=of_kernel), np.eye(8)
        target = (q[:, :6] * values) @ z.T
        start = pair()
    else:
        layer = ordered_low_rank(6)
        x = target = (q[:, :6] * values) @ z.T
        start = {"u": KERNEL[:6] / 3, "v": KERNEL[:6].T / 3}
    shapes = {name: p.shape for name, p in start.items()}

    def unflat(flat) -> dict[str, Any]:
        u, v = np.split(np.asarray(flat), [int(np.prod(shapes["u"]))])
        return {"u": u.reshape(shapes["u"]), "v": v.reshape(shapes["v"])}

    def output(params, rank):
        return layer.apply(params, {}, (jnp.asarray(x), rank), train=True)[0]

    @jax.jit
    def value_and_grad(params):
        def loss(params):
            y = jax.vmap(output, (None, 0))(params, jnp.arange(1, 7))
            return jnp.mean(jnp.sum((y - target[None]) ** 2, (1, 2)))

        return jax.value_and_grad(loss)(params)

    def flat(flat):
        value, grad = value_and_grad(unflat(flat))
        return float(value), np.concatenate([grad["u"].ravel(), grad["v"].ravel()])

    first = np.concatenate([start["u"].ravel(), start["v"].ravel()])
    options = {"maxiter": 1000, "gtol": 1e-8}
    found = scipy.optimize.minimize(flat, first, jac=True, options=options)
    params = unflat(found.x)
    for b in range(1, 6):
        small = slice_rank(params, b)
        space, _ = np.linalg.qr(small["v"].T)
        best = z[:, :b]
        angle = np.linalg.norm(space - best @ (best.T @ space), 2)
        assert angle < 1e-3, (b, angle, found.message)
        y = x @ small["u"] @ small["v"]
        want = (q[:, :b] * values[:b]) @ best.T
        assert np.linalg.norm(y - want) < 1e-3 * np.linalg.norm(want)


def test_pruning_at_zero_takes_exact_zeros_and_leaves_the_outputs():
    u, v = (np.array(pair()[name]) for name in "uv")
    u[:, 4:], v[5:] = 0, 0
    v[4] = 1e-200  # with the zeros of u it gives nothing
    u[:, 3], v[3] = 1e-30, 1e-30
    for dtype in (np.float64, np.float32):
        tree = {"a": {"b": {"u": u.astype(dtype), "v": v.astype(dtype)}}, "c": u}
        made = prune_ranks(tree, threshold=0)
        small = made["a"]["b"]
        assert small["u"].shape == (8, 4) and small["v"].shape == (4, 6)
        big = tree["a"]["b"]
        np.testing.assert_allclose(
            small["u"] @ small["v"], big["u"] @ big["v"], rtol=1e-6
        )
        assert made["c"] is u


def test_shrinking_masks_what_pruning_takes_away():
    scales = np.array([1.0, 1e-4, 0.5, 1e-3, 1e-9, 0.0])
    big = {"u": np.ones((3, 6)) * scales, "v": np.ones((6, 3)) * scales[:, None]}
    shrink = jax.jit(functools.partial(shrink_ranks, tails=False))
    alone = shrink(big, threshold=1e-5)["u"]
    np.testing.assert_array_equal(np.flatnonzero(alone[0]), [0, 2])
    small = prune_ranks(big, threshold=1e-5, tails=False)
    np.testing.assert_array_equal(small["u"], alone[:, [0, 2]])
    assert prune_ranks(big, threshold=1e-7)["v"].shape == (4, 3)  # the tails: a prefix
    assert prune_ranks(big, threshold=1e9)["v"].shape == (1, 3)
    assert prune_ranks(big, threshold=1e9, tails=False)["v"].shape == (1, 3)


def test_merging_where_the_matrix_is_smaller():
    small = {"u": np.ones((4, 2)), "v": np.ones((2, 4))}  # 16 entries either way
    large = {"u": np.ones((4, 3)), "v": np.ones((3, 4)), "bias": np.zeros(4)}
    made = merge_if_cheaper({"s": small, "l": large})
    assert made["s"] is small and set(made["l"]) == {"kernel", "bias"}
    np.testing.assert_array_equal(made["l"]["kernel"], 3 * np.ones((4, 4)))


X = np.ones((2, 8))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: ordered_low_rank(8, out=6, rank=7), "at most 6"),
        (lambda: ordered_low_rank(8, rank=0), "rank"),
        (lambda: ordered_low_rank(8, share=1.5), "share"),
        (lambda: LAYER.apply(pair(), {}, (X, 7), train=True), "no rank 7"),
        (lambda: LAYER.apply(pair(), {}, (X, np.array([1, 0])), train=True), "rank 0"),
        (
            lambda: LAYER.apply(pair(), {}, (X, np.ones(3, int)), train=True),
            "first axes",
        ),
        (lambda: LAYER.apply(pair(), {}, (X, 2.0), train=True), "whole numbers"),
        (lambda: ordered_rank_mask(jnp.array(9), 3), "no rank 9"),
        (jax.jit(lambda: ordered_rank_mask(9, 3)), "no rank 9"),
        (lambda: slice_rank(pair(), 7), "no rank 7"),
        (lambda: slice_rank(pair(), 0), "no rank 0"),
        (lambda: sample_layer_rank(jax.random.key(0), ()), "ranks"),
        (lambda: one_layer_ranks(0, 1, (2, 0)), "ranks"),
        (lambda: prune_ranks(pair(), threshold=-1.0), "threshold"),
        (lambda: prune_ranks({"kernel": X}), "no layer"),
        (lambda: jax.jit(prune_ranks)(pair()), "shrink_ranks"),
        (lambda: prune_ranks({"u": X * np.nan, "v": X.T}), "not finite"),
        (lambda: merge_if_cheaper({"kernel": X}), "no layer"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(InputError, match=words) as error:
        call()
    assert "\n" not in str(error.value)
