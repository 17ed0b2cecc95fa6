"""BatchFormer against recorded outputs and gradients, and what couples with what."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import batch_former
from jaxopt_lab.layers.block.batch_former import _dropping, with_originals

FOLDER = pathlib.Path(__file__).parents[2] / "vectors" / "batchformer"
CLOSE = {"rtol": 1e-9, "atol": 1e-11}
NAMES = {
    "attention_out": "out/kernel",
    "attention_out_bias": "out/bias",
    "mlp_in": "ff1/kernel",
    "mlp_in_bias": "ff1/bias",
    "mlp_out": "ff2/kernel",
    "mlp_out_bias": "ff2/bias",
    "attention_norm_scale": "norm1/scale",
    "attention_norm_bias": "norm1/bias",
    "mlp_norm_scale": "norm2/scale",
    "mlp_norm_bias": "norm2/bias",
}
LAYER = batch_former(8, dropout=0.0, param_dtype=jnp.float64)
X = np.random.default_rng(0).normal(size=(5, 8))


@pytest.fixture(scope="module")
def params():
    return jax.jit(LAYER.init)(jax.random.key(0))[0]


def _taken(arrays, group):
    """Recorded weights or gradients by our names."""
    taken = {name: arrays[f"{group}/{theirs}"] for name, theirs in NAMES.items()}
    for name, leaf in (("qkv", "kernel"), ("qkv_bias", "bias")):
        taken[name] = np.concatenate(
            [arrays[f"{group}/{part}/{leaf}"] for part in "qkv"], axis=-1
        )
    return taken


@pytest.mark.full(plain=["b6_c8_h4"])
@pytest.mark.parametrize("case", ["b1", "b6_c8_h4", "v2_tokens"])
def test_vectors(case):
    with np.load(FOLDER / f"{case}.npz") as file:
        a = {n: file[n] for n in file.files}

    @jax.jit
    def run(params, x):
        def total(params, x):
            after, _ = LAYER.apply(params, {}, x, train=True)
            labels = jnp.arange(x.shape[0])
            both, twice = with_originals(x, after, labels)
            return jnp.sum(both * a["input/cotangent"]), (both, twice)

        return jax.grad(total, argnums=(0, 1), has_aux=True)(params, x)

    x = a["input/x"]
    (slopes, slope), (both, twice) = run(_taken(a, "weight"), x)
    np.testing.assert_allclose(both, a["output/y"], **CLOSE)
    np.testing.assert_array_equal(both[: len(x)], x)
    np.testing.assert_array_equal(twice, np.tile(np.arange(len(x)), 2))
    np.testing.assert_allclose(slope, a["grad/x"], **CLOSE)
    for name, expected in _taken(a, "grad").items():
        np.testing.assert_allclose(slopes[name], expected, err_msg=name, **CLOSE)


def test_examples_couple_in_training_alone(params):
    run = jax.jit(lambda x: LAYER.apply(params, {}, x, train=True)[0])
    order = np.array([3, 0, 4, 1, 2])
    np.testing.assert_allclose(run(X)[order], run(X[order]), rtol=1e-12)
    slope = jax.jit(jax.grad(lambda x: jnp.sum(jnp.sin(run(x)[0]))))(X)
    assert np.all(np.any(slope != 0, axis=1))
    evaluated = jax.make_jaxpr(lambda p, x: LAYER.apply(p, {}, x, train=False)[0])
    text = evaluated(params, X).jaxpr
    assert not text.eqns and text.outvars == text.invars[-1:]


def test_one_example_sees_itself_alone(params):
    run = jax.jit(lambda x: LAYER.apply(params, {}, x, train=True)[0])
    found = run(X[:1])
    other = run(np.repeat(X[:1], 4, axis=0))
    np.testing.assert_allclose(other, np.repeat(found, 4, axis=0), rtol=1e-12)


def test_dropout_follows_its_key_and_needs_one(params):
    layer = batch_former(8, dropout=0.25, param_dtype=jnp.float64)
    run = jax.jit(lambda key: layer.apply(params, {}, X, train=True, key=key)[0])
    one, two = run(jax.random.key(0)), run(jax.random.key(1))
    np.testing.assert_array_equal(one, run(jax.random.key(0)))
    assert np.any(one != two)
    with pytest.raises(InputError, match="dropout=0.25 draws random numbers"):
        layer.apply(params, {}, X, train=True)


def test_dropout_keeps_the_mean_at_each_of_its_places():
    ones = np.ones((100, 100))
    drop = _dropping(0.25, jax.random.key(0))
    found = np.stack([drop(ones, 0), drop(ones, 1)])
    assert set(np.unique(found)) == {0.0, 1 / 0.75}
    # Five standard errors of a mean of 10,000 draws.
    error = np.sqrt(0.25 / 0.75 / ones.size)
    np.testing.assert_allclose(found.mean(axis=(1, 2)), 1, atol=5 * error)
    assert np.any(found[0] != found[1])


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: batch_former(6), "heads must divide the features, 6; got heads=4"),
        (lambda: batch_former(8, dropout=1.0), r"dropout must lie in \[0, 1\)"),
        (
            lambda: LAYER.apply({}, {}, X[:, :4], train=True),
            r"inputs of shape \(..., 8\)",
        ),
        (
            lambda: with_originals(X, X[:, :2], np.arange(5)),
            r"must belong together; got shapes \(5, 8\), \(5, 2\) and \(5,\)",
        ),
    ],
)
def test_what_it_refuses(call, words):
    with pytest.raises(InputError, match=words):
        call()
