"""Winner-take-all sampling by exact enumeration, and the layer around it."""

import functools
import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.vectors import VECTORS

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import wta_crs_dense
from jaxopt_lab.layers.memory_saving.row_sampling import (
    deterministic_count,
    norms_of,
    probabilities,
    rows_kept,
    sampled_rows,
)

RNG = np.random.default_rng(1)
KEY = np.array([0, 3], np.uint32)


def load(name):
    with np.load(VECTORS / "wta_crs" / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    return json.loads(str(arrays.pop("meta")))["results"], arrays


def test_the_size_of_the_deterministic_set():
    results, arrays = load("selection")
    for case in results[::2]:
        ordered = np.sort(arrays[f"p/{case['i']}"])[::-1]
        count = jax.jit(deterministic_count, static_argnums=1)(ordered, case["k"])
        assert int(count) == case["deterministic"]


@pytest.mark.full(plain=["1", "3"])
@pytest.mark.parametrize("i", range(6))
def test_over_all_draws_the_mean_is_exact(i):
    """Every draw by a uniform number in the middle of what leads to it."""
    case, arrays = load("enumeration")[0][i], load("enumeration")[1]
    x, g, p = (arrays[f"{n}/{i}"] for n in ("X", "G", "p"))
    n, k = len(p), case["k"]
    order = np.argsort(-p, kind="stable")
    # k = n: the last row is all that is left to draw, with weight 1.
    fixed = min(case["det"], k - 1)
    rest = np.append(np.cumsum(p[order][::-1])[::-1], 0)
    middle = (rest[:-1] + rest[1:]) / 2 / rest[fixed]
    draws = np.array(list(itertools.product(range(fixed, n), repeat=k - fixed)))
    uniform = np.concatenate([np.zeros((len(draws), fixed)), middle[draws]], axis=1)
    given = jnp.asarray(p)
    rows = jax.jit(jax.vmap(lambda u: sampled_rows(given, k, u)))(uniform)
    rows = jax.tree.map(np.asarray, rows)
    np.testing.assert_array_equal(rows.index[:, fixed:], order[draws])
    assert np.all(rows.index[:, :fixed] == order[:fixed])
    assert np.all(rows.weight[:, :fixed] == 1)
    chance = np.prod(p[order][draws] / rest[fixed], axis=1)
    np.testing.assert_allclose(chance.sum(), case["total_probability"], rtol=1e-12)
    each = np.einsum("dk,dkf,dkg->dfg", rows.weight, x[rows.index], g[rows.index])
    mean = np.tensordot(chance, each, 1)
    close = {"rtol": 1e-9, "atol": 1e-12}
    np.testing.assert_allclose(mean, arrays[f"exact/{i}"], **close)
    np.testing.assert_allclose(mean, arrays[f"expectation/{i}"], **close)
    variance = np.tensordot(chance, (each - mean) ** 2, 1).sum()
    np.testing.assert_allclose(variance, case["variance_wta"], rtol=1e-8, atol=1e-20)
    sampled = list(arrays[f"sampled/{i}"])
    if sampled:
        (at,) = np.flatnonzero((order[draws] == sampled).all(axis=1))
        np.testing.assert_allclose(each[at], arrays[f"estimate/{i}"], **close)


def gradients(layer, params, x, weight):
    """Of parameters and input, in training."""

    def loss(params, x):
        key = jax.random.wrap_key_data(KEY)
        y, _ = layer.apply(params, {}, x, train=True, key=key)
        return jnp.sum(y * weight)

    return jax.jit(jax.grad(loss, argnums=(0, 1)))(params, x)


def test_the_input_the_bias_and_the_norms():
    x, weight = RNG.normal(size=(8, 4, 3)), RNG.normal(size=(8, 4, 2))
    norms = RNG.uniform(0.1, 2.0, (8, 4))
    params = {"kernel": RNG.normal(size=(3, 2)), "bias": RNG.normal(size=2)}
    part = wta_crs_dense(3, out=2, ratio=0.25, min_rows=1)
    slopes, given = gradients(part, params, {"x": x, "grad_norms": norms}, weight)
    np.testing.assert_allclose(given["x"], weight @ params["kernel"].T, rtol=1e-12)
    np.testing.assert_allclose(slopes["bias"], weight.sum((0, 1)), rtol=1e-12)
    wanted = np.linalg.norm(weight, axis=-1)
    np.testing.assert_allclose(given["grad_norms"], wanted, rtol=1e-12)
    exact = np.einsum("btf,bto->fo", x, weight)
    assert np.any(abs(slopes["kernel"] - exact) > 1e-3)
    # By hand, from the same uniform numbers.
    flat = x.reshape(32, 3)
    index, share = drawn(flat, 8, norms.reshape(32))
    chosen = weight.reshape(32, 2)[index] * share[:, None]
    np.testing.assert_allclose(slopes["kernel"], flat[index].T @ chosen)
    whole = wta_crs_dense(3, out=2, ratio=1.0)
    slopes, given = gradients(whole, params, {"x": x, "grad_norms": norms}, weight)
    np.testing.assert_allclose(slopes["kernel"], exact, rtol=1e-10)
    np.testing.assert_allclose(given["grad_norms"], wanted, rtol=1e-12)


@functools.partial(jax.jit, static_argnums=1)
def chosen_rows(x, k, norms, uniform):
    return sampled_rows(probabilities(norms_of(x), norms), k, uniform)


def drawn(x, k, norms, uniform=None):
    """Numbers and weights of rows as NumPy arrays; by the key of the layer's calls."""
    if uniform is None:
        uniform = jax.random.uniform(jax.random.wrap_key_data(KEY), (k,))
    return map(np.asarray, chosen_rows(x, k, norms, uniform))


def test_large_rows_are_always_kept_and_rows_of_zeros_never():
    x = np.full((20, 3), 1e-3)
    x[[4, 11]] = 5.0
    x[12:] = 0.0
    ends = np.linspace(0.0, 1 - 1e-12, 4)
    index, weight = drawn(x, 4, np.ones(20), ends)
    assert sorted(index[:2]) == [4, 11] and weight[:2].tolist() == [1, 1]
    assert np.all(index < 12)
    _, weight = drawn(np.zeros((20, 3)), 4, np.ones(20), ends)
    assert np.all(weight[1:] == 0)


def test_the_number_of_rows():
    assert rows_kept(1000, 0.3) == 300
    assert rows_kept(15, 0.3) == 10
    assert rows_kept(6, 0.3) == 6
    assert rows_kept(6, 0.3, min_rows=1) == 1


@pytest.mark.parametrize(
    "options, words",
    [
        ({"ratio": 0.0}, r"ratio must lie in \(0, 1\]; got 0.0"),
        ({"ratio": 1.5}, r"ratio must lie in \(0, 1\]; got 1.5"),
        ({"ratio": float("nan")}, r"ratio must lie in \(0, 1\]; got nan"),
        ({"min_rows": 0}, "min_rows must be a whole number of at least 1"),
    ],
)
def test_options_out_of_range(options, words):
    with pytest.raises(InputError, match=words):
        wta_crs_dense(4, **options)


def test_it_says_what_it_cannot_do():
    layer = wta_crs_dense(3, min_rows=1)
    params = {"kernel": np.ones((3, 3)), "bias": np.ones(3)}
    x = np.ones((8, 3))
    run = lambda x, key=None: layer.apply(params, {}, x, train=True, key=key)[0]
    with pytest.raises(InputError, match="draws rows in training; pass key="):
        jax.eval_shape(run, x)
    with pytest.raises(InputError, match="one number for each row"):
        run({"x": x, "grad_norms": np.ones(7)})
    with pytest.raises(InputError, match="a dict of 'x' and 'grad_norms'; got"):
        run({"x": x, "norms": np.ones(8)})
    with pytest.raises(InputError, match="pass it a key"):
        layer.init()
    key = jax.random.wrap_key_data(KEY)
    once = jax.grad(lambda x: jnp.sum(run(x, key) ** 2))
    with pytest.raises(InputError, match="has first derivatives only"):
        jax.eval_shape(jax.grad(lambda x: jnp.sum(once(x) ** 2)), x)


@pytest.mark.full
def test_the_norms_of_the_last_epoch_lower_the_variance():
    """A table of them outside of the step; the gradient of an input fills it."""
    x = RNG.normal(size=(40, 3))
    weight = RNG.normal(size=(40, 2)) * np.exp(2 * RNG.normal(size=(40, 1)))
    params = {"kernel": np.ones((3, 2))}
    layer = wta_crs_dense(3, out=2, ratio=0.25, use_bias=False)
    exact = x.T @ weight

    def epoch(table, key):
        def loss(params, norms):
            given = {"x": x, "grad_norms": norms}
            key_ = jax.random.wrap_key_data(key)
            y, _ = layer.apply(params, {}, given, train=True, key=key_)
            return jnp.sum(y * weight)

        slopes, table = jax.grad(loss, argnums=(0, 1))(params, table)
        return slopes["kernel"], table

    @jax.jit
    def errors(table, keys):
        found, tables = jax.vmap(lambda key: epoch(table, key))(keys)
        return jnp.mean(jnp.sum((found - exact[None]) ** 2, axis=(1, 2))), tables[0]

    keys = np.stack([np.arange(500), np.arange(500)], 1).astype(np.uint32)
    first, table = errors(np.ones(40), keys)
    second, again = errors(table, keys)
    np.testing.assert_allclose(table, again, rtol=1e-12)
    assert second < first / 2
