"""Integer arithmetic of inference: recorded codes, exact equalities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.vectors import VECTORS

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.quantize import (
    GPTQGrid,
    LinearGrid,
    group_product,
    llm_int8,
    outlier_tune,
    shift_product,
)


def load(folder, name):
    with np.load(VECTORS / folder / f"{name}.npz") as file:
        return {key: file[key] for key in file.files}


@pytest.mark.full(plain=["A"])
@pytest.mark.parametrize("case", ["A", "B"])
def test_llm_int8_gives_the_recorded_codes_and_outputs(case):
    arrays = load("llm_int8", case)
    x, weight = (arrays[f"init/{name}"].astype(np.float64) for name in "XW")
    found = jax.jit(lambda x, w: llm_int8(x, w, outlier_weights="codes"))(x, weight)
    np.testing.assert_array_equal(found.x_codes, arrays["codes/x"])
    np.testing.assert_array_equal(found.weight_codes, arrays["codes/w"])
    np.testing.assert_array_equal(found.accumulated, arrays["acc/int32"])
    np.testing.assert_array_equal(
        np.nonzero(found.outliers)[0], arrays["outlier/columns"]
    )
    np.testing.assert_allclose(found.output, arrays["out/formula_bnb"], atol=1e-12)
    output = jax.jit(llm_int8)(x, weight).output
    np.testing.assert_allclose(output, arrays["out/formula_fp"], atol=1e-12)


def test_llm_int8_without_outliers_in_reach_is_the_plain_product():
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(3, 5)), rng.normal(size=(2, 5))
    weight[0] = 0
    found = jax.jit(lambda x, w: llm_int8(x, w, threshold=0.0))(x, weight)
    np.testing.assert_allclose(found.output, x @ weight.T, rtol=1e-12)
    assert not found.accumulated.any() and bool(jnp.all(jnp.isfinite(found.output)))


@pytest.mark.parametrize("name", ["plain", "shift"])
def test_outlier_tune_gives_the_recorded_codes_and_outputs(name):
    arrays = load("outliertune", "B")
    x = arrays["init/X"]
    shift = name == "shift"

    @jax.jit
    def all_of(x, weight, bias):
        found = []
        for bits in (4, 8):
            layer = outlier_tune(
                weight, bias, x.min(0), x.max(0), bits=bits, symmetrize=shift
            )
            found.append((layer.codes(x), layer.weight.qvalue, layer.scale, layer(x)))
        return found

    parts = zip((4, 8), all_of(x, arrays["init/W"], arrays["init/b"]), strict=True)
    for bits, found in parts:
        for value, part in zip(found, ("x", "w", "sx", "y"), strict=True):
            expected = arrays[f"{part}/b{bits}_{name}"]
            np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-12)


def test_a_constant_channel_and_a_dead_output_stay_finite():
    x = jnp.array([[0.0, 2.0], [0.0, 2.0]])

    @jax.jit
    def output(x):
        zeros, ones = jnp.zeros((2, 3)), jnp.ones(3)
        return outlier_tune(zeros, ones, x.min(0), x.max(0))(x)

    np.testing.assert_allclose(output(x), 1)


@pytest.mark.parametrize("make", [LinearGrid, GPTQGrid])
def test_a_group_product_is_that_of_the_values(make):
    rng = np.random.default_rng(0)
    x = rng.integers(-8, 8, size=(3, 12))
    weight = rng.normal(size=(5, 12))

    @jax.jit
    def all_of(x, weight):
        coded = make(3, granularity="group", group_size=4).encode(weight)
        values = coded.dequantize()
        codes = coded.qvalue.astype(jnp.int32).reshape(5, 3, 4)
        sums = jnp.einsum("mgk,ngk->mgn", x.reshape(3, 3, 4), codes)
        shifted = shift_product(x, coded, bits=3)
        return group_product(x, coded), x @ values.T, sums, shifted

    ours, plain, sums, shifted = all_of(x, weight)
    np.testing.assert_allclose(ours, plain, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(shifted, sums)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda x: llm_int8(x, jnp.ones((2, 4))), r"got \(2, 3\) and \(2, 4\)"),
        (lambda x: llm_int8(x, x, outlier_weights="code"), "you meant 'codes'"),
        (lambda x: llm_int8(x, x, threshold=-1.0), "threshold"),
        (lambda x: outlier_tune(x, x[0], x[0], x[0]), "takes weight"),
        (
            lambda x: outlier_tune(x, x[0], x[:, 0], x[:, 0], bits=1),
            "from 2 to 8; got 1",
        ),
        (lambda x: group_product(x, LinearGrid().encode(x.T)), "takes x of shape"),
        (
            lambda x: shift_product(x, LinearGrid().encode(x), bits=8),
            "takes whole numbers; got float64",
        ),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words):
        make(jnp.ones((2, 3)))
