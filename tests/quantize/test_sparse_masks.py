"""Masks of sparse training: counts, growing and dropping, sparse sums, selection."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.quantize import (
    Moments,
    average_statistics,
    cosine_prune_fraction,
    magnitude_masks,
    masked,
    noisy_layer_densities,
    prune_grow,
    select_by_batch_norm,
    sum_sparse,
    top_k_sparse,
)

RNG = np.random.default_rng(0)
PARAMS = {"a": RNG.normal(size=(4, 6)), "b": RNG.normal(size=(5,)), "c": np.ones(3)}
DENSITIES = {"a": 0.25, "b": 0.6}


def test_densities_vary_by_layer_and_are_right_together():
    sizes = {"a": 400, "b": 30, "c": 5}
    seen = []
    for seed in range(4):
        found = noisy_layer_densities(jax.random.key(seed), sizes, 0.7, noise=2.0)
        total = sum(sizes[n] * d for n, d in found.items())
        np.testing.assert_allclose(total, 0.7 * 435, rtol=1e-12)
        assert all(0 < d <= 1 for d in found.values())
        seen.append(found["b"])
    assert np.ptp(seen) > 0.1
    same = noisy_layer_densities(jax.random.key(0), sizes, 0.1, noise=0.0)
    np.testing.assert_allclose(list(same.values()), 0.1, rtol=1e-12)


def reference(w, m, g, k):
    w, m, g = (np.asarray(x).ravel().copy() for x in (w, m, g))
    k = min(k, m.sum(), (~m).sum())
    idle, active = np.flatnonzero(~m), np.flatnonzero(m)
    grown = idle[np.argsort(-np.abs(g[idle]), kind="stable")[:k]]
    dropped = active[np.argsort(np.abs(w[active]), kind="stable")[:k]]
    m[grown], m[dropped] = True, False
    w[dropped] = 0
    return w, m


@pytest.mark.full
def test_growing_keeps_the_density_and_the_function_but_for_what_is_dropped():
    mask = magnitude_masks(PARAMS, DENSITIES)
    for name, share in DENSITIES.items():
        kept = np.abs(PARAMS[name])[np.asarray(mask[name])]
        assert len(kept) == round(share * PARAMS[name].size)
        assert kept.min() >= np.abs(PARAMS[name])[~np.asarray(mask[name])].max()
    assert np.all(mask["c"])
    params = masked(mask, PARAMS)
    grads = {n: RNG.normal(size=w.shape) for n, w in PARAMS.items()}
    run = jax.jit(lambda k, leaf: prune_grow(params, mask, grads, {"a": k, "b": leaf}))
    for k in (0, 1, 3, 100):
        after, new = run(k, 1)
        for name, count in (("a", k), ("b", 1)):
            w, m = reference(params[name], mask[name], grads[name], count)
            np.testing.assert_array_equal(np.ravel(after[name]), w)
            np.testing.assert_array_equal(np.ravel(new[name]), m)
            changed = np.sum(np.asarray(new[name]) != np.asarray(mask[name]))
            assert changed == 2 * min(count, np.sum(mask[name])), (name, k)
            fresh = np.asarray(new[name]) & ~np.asarray(mask[name])
            assert not np.any(np.asarray(after[name])[fresh])
        np.testing.assert_array_equal(after["c"], PARAMS["c"])
    nothing = prune_grow(params, mask, grads, 0)
    jax.tree.map(np.testing.assert_array_equal, nothing, (params, mask))


def test_sparse_gradients_of_clients_sum_to_the_dense_one():
    mask = magnitude_masks(PARAMS, DENSITIES)
    clients = [{n: RNG.normal(size=w.shape) for n, w in PARAMS.items()} for _ in "abc"]
    weights = [1, 2, 5]
    ones = jax.tree.map(jnp.asarray, PARAMS)

    def summed(k):
        parts = [top_k_sparse(jax.tree.map(jnp.asarray, g), mask, k) for g in clients]
        return parts, sum_sparse(parts, weights, ones)

    _, dense = summed({"a": 99, "b": 99})
    for name in ("a", "b"):
        wanted = sum(w * g[name] for w, g in zip(weights, clients, strict=True)) / 8
        wanted = np.where(mask[name], 0, wanted)
        np.testing.assert_allclose(dense[name], wanted, rtol=1e-12, atol=1e-15)
    assert not np.any(dense["c"])
    parts, few = summed({"a": 2})
    for part, g in zip(parts, clients, strict=True):
        idle = np.where(mask["a"], 0, np.abs(g["a"])).ravel()
        assert set(np.asarray(part["a"].index)) == set(np.argsort(-idle)[:2])
    assert 2 <= np.sum(np.asarray(few["a"]) != 0) <= 6 and not np.any(few["b"])


def test_the_share_falls_along_a_cosine():
    found = [float(cosine_prune_fraction(t, 100)) for t in range(0, 140, 10)]
    t = np.minimum(np.arange(0, 140, 10) / 100, 1)
    np.testing.assert_allclose(found, 0.1 * (1 + np.cos(np.pi * t)), atol=1e-7)
    assert found[0] == np.float32(0.2) and found[-1] == 0
    assert np.all(np.diff(found) <= 0)


def test_pooled_statistics_are_those_of_all_examples_and_the_best_candidate_wins():
    data = [jnp.asarray(RNG.normal(c, 1 + c, size=(3 + c, 2))) for c in range(3)]

    def observe(w, x):
        y = x @ w
        return {"norm": Moments(jnp.mean(y, 0), jnp.var(y, 0))}

    def loss(w, statistics, x):
        mean, variance = (s[None] for s in statistics["norm"])
        return jnp.mean(((x @ w - mean) / jnp.sqrt(variance + 1e-5) - x) ** 2)

    candidates = [jnp.asarray(RNG.normal(size=(2, 2))) for _ in range(3)]
    whole = np.concatenate(data) @ np.asarray(candidates[0])
    each = [observe(candidates[0], x) for x in data]
    pooled = average_statistics(each, [3, 4, 5], pooled=True)["norm"]
    np.testing.assert_allclose(pooled.mean, whole.mean(0), rtol=1e-12)
    np.testing.assert_allclose(pooled.variance, whole.var(0), rtol=1e-12)
    plain = average_statistics(each, [3, 4, 5])["norm"]
    wanted = sum(n * m["norm"].variance for n, m in zip((3, 4, 5), each, strict=True))
    np.testing.assert_allclose(plain.variance, wanted / 12, rtol=1e-12)
    found = select_by_batch_norm(candidates, data, observe, loss)
    losses = []
    for w in candidates:
        told = average_statistics([observe(w, x) for x in data], [3, 4, 5])
        losses.append(sum(len(x) * float(loss(w, told, x)) for x in data) / 12)
    np.testing.assert_allclose(found.losses, losses, rtol=1e-9)
    assert found.index == int(np.argmin(losses))
    order = [2, 0, 1]
    other = select_by_batch_norm(candidates, [data[i] for i in order], observe, loss)
    np.testing.assert_allclose(other.losses, found.losses, rtol=1e-9)


KEY, ONE = jax.random.key(0), {"a": jnp.ones(2)}


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: noisy_layer_densities(jax.random.key(0), {}, 0.5), "layers with weig"),
        (
            lambda: noisy_layer_densities(jax.random.key(0), {"a": 1}, 0.0),
            "density must",
        ),
        (lambda: magnitude_masks(ONE, {"z": 0.5}), "no leaf 'z'; there are a"),
        (
            lambda: magnitude_masks(ONE, {"a": 1.5}),
            "density of a must lie",
        ),
        (lambda: top_k_sparse(ONE, {"a": ONE["a"] > 0}, -1), "k must be at least 0"),
        (lambda: sum_sparse([], [], ONE), "one for each of 0 clients"),
        (lambda: average_statistics([ONE], [0.0]), "not all 0"),
        (lambda: select_by_batch_norm([], [ONE], dict, dict), "needs candidates"),
        (
            lambda: select_by_batch_norm(
                [ONE["a"]], [ONE["a"]], lambda w, x: {}, lambda w, s, x: jnp.nan * w[0]
            ),
            "every candidate is not finite",
        ),
        (lambda: cosine_prune_fraction(1, 0), "end must"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words) as told:
        make()
    assert "\n" not in str(told.value)
