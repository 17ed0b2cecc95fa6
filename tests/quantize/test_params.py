"""Quantizing the leaves of a model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.quantize import (
    GPTQGrid,
    LinearGrid,
    gptq,
    gram_function,
    quantize_params,
    round_to_nearest,
)

RNG = np.random.default_rng(0)
PARAMS = {
    "one": {"kernel": RNG.normal(size=(4, 6)), "bias": RNG.normal(size=6)},
    "two": {"kernel": RNG.normal(size=(6, 3)), "bias": np.zeros(3)},
}
BATCHES = [RNG.normal(size=(5, 4)), RNG.normal(size=(5, 4))]


def model(params, x):
    hidden = jax.nn.relu(x @ params["one"]["kernel"] + params["one"]["bias"][None])
    return jax.jit(jnp.matmul)(hidden, params["two"]["kernel"])


def hidden(x):
    return np.maximum(x @ PARAMS["one"]["kernel"] + PARAMS["one"]["bias"], 0)


def test_grams_are_those_of_the_inputs_of_each_kernel():
    x = np.concatenate(BATCHES)
    grams = gram_function(model, ["one/kernel", "two/kernel"])(PARAMS, x)
    np.testing.assert_allclose(grams["one/kernel"], x.T @ x, rtol=1e-12)
    np.testing.assert_allclose(grams["two/kernel"], hidden(x).T @ hidden(x), rtol=1e-12)


def test_grams_follow_casts_axes_and_repeated_use():
    kernel = RNG.normal(size=(2, 3, 4))
    x = RNG.normal(size=(5, 3, 7, 2))

    def once(params, x):
        weight = params["w"].astype(jnp.float32)
        x = x.astype(jnp.float32)
        one = jnp.einsum("abo,nbta->nto", weight, x)
        return one + jnp.einsum("nbta,abo->nto", 2 * x, weight)

    flat = np.transpose(x, (0, 2, 3, 1)).reshape(-1, 6)
    gram = gram_function(once, ["w"])({"w": kernel}, x)["w"]
    assert gram.dtype == jnp.float32
    np.testing.assert_allclose(gram, 5 * flat.T @ flat, rtol=1e-4)


def test_a_kernel_used_otherwise_has_no_gram():
    def transposed(params, x):
        return x @ params["w"].T

    assert (
        gram_function(transposed, ["w"])({"w": np.ones((3, 4))}, np.ones((2, 4))) == {}
    )


def test_each_leaf_goes_by_its_first_rule():
    rules = [
        ("two", None),
        ("kernel", round_to_nearest, LinearGrid(4)),
        ("", round_to_nearest, GPTQGrid(2)),
    ]
    quantized, report = quantize_params(model, PARAMS, rules, BATCHES)
    assert list(report.layers) == ["one/kernel"]
    for path in (("one", "bias"), ("two", "kernel"), ("two", "bias")):
        assert quantized[path[0]][path[1]] is PARAMS[path[0]][path[1]]
    coded, one = report.layers["one/kernel"]
    weight = PARAMS["one"]["kernel"].T
    x = np.concatenate(BATCHES)
    expected, exact = round_to_nearest(
        jnp.asarray(weight), jnp.asarray(x.T @ x), LinearGrid(4)
    )
    np.testing.assert_array_equal(coded.qvalue, expected.qvalue)
    np.testing.assert_allclose(one.error, exact.error, rtol=1e-12)
    np.testing.assert_array_equal(quantized["one"]["kernel"], expected.dequantize().T)
    assert report.nbytes_before - report.nbytes == 24 * 8 - (24 // 2 + 6 * 8)
    outputs = [np.asarray(model(p, x)) for p in (PARAMS, quantized)]
    size = np.sum(outputs[0] ** 2)
    error = np.sum((outputs[1] - outputs[0]) ** 2) / size
    np.testing.assert_allclose(report.output_error, error, rtol=1e-10)


def test_a_layer_sees_the_inputs_that_quantized_layers_give():
    rules = [("kernel", round_to_nearest, LinearGrid(2))]
    x = np.concatenate(BATCHES)
    seen = []
    coarse, report = quantize_params(
        model, PARAMS, rules, BATCHES, progress=seen.append
    )
    _, apart = quantize_params(model, PARAMS, rules, BATCHES, in_order=False)
    assert seen == ["one/kernel", "two/kernel"]
    weight = jnp.asarray(PARAMS["two"]["kernel"].T)
    first = np.asarray(coarse["one"]["kernel"])
    inputs = np.maximum(x @ first + PARAMS["one"]["bias"], 0), hidden(x)
    for found, h in zip((report, apart), inputs, strict=True):
        _, exact = round_to_nearest(weight, jnp.asarray(h.T @ h), LinearGrid(2))
        error = found.layers["two/kernel"][1].error
        np.testing.assert_allclose(error, exact.error, rtol=1e-12)


def test_grams_of_convolutions_are_those_of_their_patches():
    kernel = RNG.normal(size=(3, 2, 2, 4))
    x = RNG.normal(size=(2, 6, 5, 2))

    def convolved(params, x):
        return jax.lax.conv_general_dilated(
            x,
            params["w"],
            (2, 1),
            ((1, 0), (0, 1)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )

    padded = np.pad(x, ((0, 0), (1, 0), (0, 1), (0, 0)))
    patches = [
        padded[n, i : i + 3, j : j + 2].reshape(-1)
        for n in range(2)
        for i in range(0, padded.shape[1] - 2, 2)
        for j in range(padded.shape[2] - 1)
    ]
    expected = np.array(patches).T @ np.array(patches)
    gram = gram_function(convolved, ["w"])({"w": kernel}, x)["w"]
    np.testing.assert_allclose(gram, expected, rtol=1e-12, atol=1e-12)
    # The same patches, in the order of the kernel's rows, give the outputs.
    outputs = np.array(patches) @ kernel.reshape(-1, 4)
    np.testing.assert_allclose(
        convolved({"w": kernel}, x).reshape(-1, 4), outputs, rtol=1e-12, atol=1e-12
    )


def test_a_refusal_names_the_leaf():
    with pytest.raises(InputError, match="one/kernel: gptq needs gram"):
        quantize_params(model, PARAMS, [("one/kernel", gptq)])


def test_values_that_are_not_finite_and_empty_batches_are_refused():
    rules = [("kernel", round_to_nearest, LinearGrid(8))]
    one = {"kernel": np.full_like(PARAMS["one"]["kernel"], np.nan)}
    with pytest.raises(InputError, match="one/kernel: weight of the model must be fin"):
        quantize_params(model, {**PARAMS, "one": one}, rules)
    with pytest.raises(InputError, match="a calibration batch has no examples"):
        quantize_params(model, PARAMS, rules, [np.zeros((0, 3), np.float32)])


def test_without_batches_there_is_no_output_error():
    rules = [("kernel", round_to_nearest, LinearGrid(8))]
    _, report = quantize_params(model, PARAMS, rules)
    assert np.isnan(report.output_error) and len(report.layers) == 2


def test_convolutions_are_matrices_of_their_patches():
    kernel = RNG.normal(size=(3, 3, 2, 4)).astype(np.float32)
    rules = [("w", round_to_nearest, LinearGrid(8))]
    quantized, report = quantize_params(lambda p, x: x, {"w": kernel}, rules)
    assert report.layers["w"][0].qvalue.shape == (4, 18)
    assert quantized["w"].shape == kernel.shape and quantized["w"].dtype == np.float32
    np.testing.assert_allclose(quantized["w"], kernel, atol=np.abs(kernel).max() / 250)


def test_a_rule_without_leaves_is_refused():
    rules = [("kernel", round_to_nearest), ("two/kernel", None)]
    with pytest.raises(InputError, match="rule 'two/kernel' matches no leaf that an"):
        quantize_params(model, PARAMS, rules)
