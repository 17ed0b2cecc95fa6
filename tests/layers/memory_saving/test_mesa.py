"""Mesa's codes and gradients against recorded ones, and what a range does."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.vectors import VECTORS

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import (
    mesa_dense,
    mesa_gelu,
    mesa_layer_norm,
    mesa_softmax,
)
from jaxopt_lab.layers.memory_saving.compressed_input import with_compressed_input
from jaxopt_lab.layers.memory_saving.mesa_gelu import exact_gelu
from jaxopt_lab.layers.memory_saving.residual_codes import Compression, grid_of

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 5, 8))
KEY = np.array([0, 3], np.uint32)
CLOSE = {"rtol": 1e-9, "atol": 1e-12}


def load(folder, name):
    with np.load(VECTORS / folder / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    return json.loads(str(arrays.pop("meta"))), arrays


def by_group(x, groups):
    """``(groups, rest)``, as the vectors store it, of an array with features last."""
    cut = np.asarray(x).reshape(*x.shape[:-1], groups, -1)
    return np.moveaxis(cut, -2, 0).reshape(groups, -1)


def from_groups(flat, shape):
    groups = flat.shape[0]
    cut = flat.reshape(groups, *shape[:-1], shape[-1] // groups)
    return np.moveaxis(cut, 0, -2).reshape(shape)


@pytest.mark.full(plain=["gelu_4bit"])
@pytest.mark.parametrize("name", ["gelu_groups", "gelu_4bit"])
def test_stochastic_codes_and_the_gradient_of_gelu(name):
    meta, arrays = load("mesa", name)
    hyper = meta["hyperparameters"]
    groups, bits = hyper["groups"], int(np.log2(hyper["level"]))
    how = Compression(
        groups=groups, bits=bits, decay=hyper["ema_decay"], state_dtype=jnp.float64
    )

    @jax.jit
    def step(state, x, uniform, cotangent):
        state = how.moved(state, x)
        grid = grid_of(state)
        codes = how.encode(x, grid, uniform)
        restored = how.decode(codes, grid, jax.ShapeDtypeStruct(x.shape, x.dtype))
        run = lambda x: with_compressed_input(exact_gelu, (), x, how, grid, uniform)
        y, pull = jax.vjp(run, x)
        return state, codes, restored, y, pull(cotangent)[0]

    state = how.init()
    for t in range(meta["steps"]):
        x = arrays[f"x/{t}"]
        uniform = from_groups(arrays[f"uniform/{t}"], x.shape)
        state, codes, restored, y, slope = step(
            state, x, uniform, arrays[f"grad_out/{t}"]
        )
        np.testing.assert_allclose(state["range"], arrays[f"range/{t}"], **CLOSE)
        np.testing.assert_allclose(state["low"], arrays[f"offset/{t}"], **CLOSE)
        np.testing.assert_allclose(restored, arrays[f"restored/{t}"], **CLOSE)
        np.testing.assert_allclose(slope, arrays[f"gelu_grad_in/{t}"], **CLOSE)
        np.testing.assert_array_equal(y, jax.jit(exact_gelu)((), x))
        assert codes.dtype == np.uint8 and codes.size == x.size * (bits // 4) // 2
        if bits == 8:
            np.testing.assert_array_equal(by_group(codes, groups), arrays[f"codes/{t}"])


def test_the_nearest_codes():
    meta, arrays = load("mesa_nearest", "A")
    how = Compression(
        groups=meta["groups"],
        decay=meta["ema"],
        rounding="nearest",
        state_dtype=jnp.float64,
    )

    @jax.jit
    def step(state, x):
        state = how.moved(state, x)
        codes = how.encode(x, grid_of(state), None)
        like = jax.ShapeDtypeStruct(x.shape, x.dtype)
        return state, codes, how.decode(codes, grid_of(state), like)

    state = how.init()
    for t, x in enumerate(arrays["init/x"]):
        state, codes, restored = step(state, x)
        np.testing.assert_allclose(state["range"], arrays[f"clip/{t}"], **CLOSE)
        np.testing.assert_allclose(state["low"], arrays[f"shift/{t}"], **CLOSE)
        np.testing.assert_array_equal(
            by_group(codes, meta["groups"]), arrays[f"codes/{t}"]
        )
        np.testing.assert_allclose(restored, arrays[f"deq/{t}"], **CLOSE)


def test_values_above_the_range_stay_at_its_top():
    how = Compression(decay=0.9, rounding="nearest")

    @jax.jit
    def run(x):
        state = how.moved(how.init(), x / 100)
        grid = grid_of(how.moved(state, x))  # a range of 10.9
        return how.encode(x, grid, None)

    assert run(np.array([[0.0, 100.0]])).tolist() == [[0, 255]]


@pytest.mark.full
def test_stochastic_rounding_has_the_right_mean():
    how = Compression(bits=2)
    x = jnp.linspace(0.0, 1.0, 12)[None]
    grid = grid_of(how.moved(how.init(), x))

    @jax.jit
    @jax.vmap
    def restored(key):
        codes = how.encode(x, grid, how.uniform("x", jax.random.wrap_key_data(key), x))
        return how.decode(codes, grid, jax.ShapeDtypeStruct(x.shape, x.dtype))

    keys = np.stack([np.arange(4000), np.arange(4000)], 1).astype(np.uint32)
    # A standard deviation of at most 1/6 a draw.
    np.testing.assert_allclose(restored(keys).mean(0), x, atol=5 / 6 / 4000**0.5)


def test_the_gradients_are_near_and_the_residuals_are_bytes():
    """Softmax by heads, layer norm and dense in one function."""
    softmax = mesa_softmax(8, groups=5, group_axis=1)
    norm, dense = mesa_layer_norm(8, groups=2), mesa_dense(8, out=3)
    layers = (norm, dense, softmax)
    weight = RNG.normal(size=(6, 5, 3))

    def run(apply, params, states, x, key):
        x = apply(0, params, states, x, key)
        x = apply(2, params, states, 2 * x, key)
        return jnp.sum(apply(1, params, states, x, key) * weight)

    def train(i, params, states, x, key):
        key = jax.random.wrap_key_data(key)
        return layers[i].apply(params[i], states[i], x, train=True, key=key)[0]

    def evaluate(i, params, states, x, key):
        return layers[i].apply(params[i], states[i], x, train=False)[0]

    kernel, ones = RNG.normal(size=(8, 3)), np.ones(8)
    params = (
        {"scale": ones, "bias": 0 * ones},
        {"kernel": kernel, "bias": kernel[0]},
        {},
    )

    @jax.jit
    def both(x, key):
        states = [Compression(groups=n).init() for n in (2, 1, 5)]
        grads = [
            jax.value_and_grad(lambda p, x, a=a: run(a, p, states, x, key), (0, 1))
            for a in (train, evaluate)
        ]
        return tuple(g(params, x) for g in grads)

    (value, slopes), (exact, wanted) = both(X, KEY)
    np.testing.assert_allclose(value, exact, rtol=1e-12)
    for a, b in zip(jax.tree.leaves(slopes), jax.tree.leaves(wanted), strict=True):
        gap = np.linalg.norm(a - b) / np.linalg.norm(b)
        assert gap < 0.05, gap
    bias = slopes[0][1]["bias"]
    np.testing.assert_allclose(bias, wanted[0][1]["bias"], rtol=1e-12)


def test_a_range_of_nothing_stays():
    how = Compression()
    state = how.init()
    nothing = jnp.zeros((3, 1), bool)
    x = jnp.full((3, 4), jnp.nan)
    after = how.moved(state, x, valid=nothing)
    jax.tree.map(np.testing.assert_array_equal, after, state)
    shown = how.moved(state, x)
    assert np.isnan(shown["range"][0])


@pytest.mark.parametrize("make", [mesa_gelu, mesa_softmax])
def test_it_says_what_it_cannot_do(make):
    layer = make(8)
    run = lambda x: jnp.sum(layer.apply({}, layer.init()[1], x, train=True)[0] ** 2)
    with pytest.raises(InputError, match="pass key="):
        jax.eval_shape(run, X)
    with pytest.raises(InputError, match="groups=3 must divide the 8 entries"):
        three = make(8, groups=3, rounding="nearest")
        three.apply({}, three.init()[1], X, train=True)
    near = make(8, rounding="nearest")
    run = lambda x: jnp.sum(near.apply({}, near.init()[1], x, train=True)[0] ** 2)
    twice = jax.grad(lambda x: jnp.sum(jax.grad(run)(x) ** 2))
    with pytest.raises(InputError, match="has first derivatives only"):
        jax.eval_shape(twice, X)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"bits": 9}, "bits must be a whole number from 1 to 8; got 9"),
        ({"groups": 0}, "groups must be a whole number of at least 1"),
        ({"decay": 1.0}, r"decay must lie in \[0, 1\); got 1.0"),
        ({"rounding": "down"}, "rounding"),
    ],
)
def test_options_out_of_range(options, words):
    with pytest.raises(InputError, match=words):
        mesa_gelu(8, **options)
