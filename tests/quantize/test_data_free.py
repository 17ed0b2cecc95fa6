"""Quantization without data: batch statistics, sensitivities, bits of layers."""

import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.vectors import VECTORS

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.quantize import (
    LinearGrid,
    Normalized,
    allocate_bits,
    batch_statistics_loss,
    sensitivities,
)


def load(name):
    with np.load(VECTORS / "zeroq" / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    return json.loads(str(arrays.pop("meta"))), arrays


def test_the_recorded_losses_and_gradients():
    _, arrays = load("bn_loss_A")
    statistics = [
        {n: arrays[f"bn/{n}{i}"] for n in ("mean", "var", "scale", "bias")}
        for i in range(2)
    ]

    def convolved(x, kernel):
        return jax.lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    def loss(x, choice):
        first = convolved(x, arrays["init/w1"])
        bn = {n: v[None, None, None] for n, v in statistics[0].items()}
        y = (first - bn["mean"]) / jnp.sqrt(bn["var"] + 1e-5)
        second = convolved(jax.nn.relu(y * bn["scale"] + bn["bias"]), arrays["init/w2"])
        layers = [
            Normalized(features, bn["mean"], bn["var"])
            for features, bn in zip((first, second), statistics, strict=True)
        ]
        return batch_statistics_loss(x, layers, statistics=choice)

    found = jax.jit(
        lambda x: [jax.value_and_grad(loss)(x, c) for c in ("example", "batch")]
    )(arrays["init/x"])
    for (value, slope), name in zip(found, ("zeroq", "genie"), strict=True):
        expected = arrays[f"out/{name}_mean_loss"] + arrays[f"out/{name}_std_loss"]
        np.testing.assert_allclose(value, expected, rtol=1e-12)
        np.testing.assert_allclose(slope, arrays[f"grad/{name}_x"], atol=1e-12)


def test_constant_images_have_a_finite_gradient():
    constant = jnp.ones((2, 3, 3, 1))
    layer = Normalized(constant, jnp.zeros(1), jnp.ones(1))
    slope = jax.jit(
        jax.grad(lambda x: batch_statistics_loss(x, [layer], statistics="batch"))
    )(constant)
    assert np.isfinite(slope).all()


def test_the_recorded_optimum_and_every_budget_of_a_small_problem():
    meta, arrays = load("pareto_A")
    for error, bits, budget in meta["best"].values():
        found = allocate_bits(arrays["omega"], arrays["sizes"], meta["bits"], budget)
        assert list(found.bits) == bits
        np.testing.assert_allclose(found.error, error, rtol=1e-12)
    errors = np.random.default_rng(0).integers(0, 5, size=(4, 3)).astype(float)
    sizes, choices = [3, 1, 4, 2], [2, 4, 8]
    every = [
        (sum(errors[i, k] for i, k in enumerate(ks)), ks)
        for ks in itertools.product(range(3), repeat=4)
    ]
    for budget in range(20, 81, 5):
        fitting = [
            error
            for error, ks in every
            if sum(n * choices[k] for n, k in zip(sizes, ks, strict=True)) <= budget
        ]
        found = allocate_bits(errors, sizes, choices, budget)
        assert found.error == min(fitting) and found.size <= budget


def test_sensitivities_are_divergences_of_one_layer_at_a_time():
    rng = np.random.default_rng(0)
    params = {"a": {"kernel": rng.normal(size=(3, 4))}, "b": {"kernel": np.eye(4)}}
    x = rng.normal(size=(5, 3))

    def model(params, x):
        return jnp.tanh(x @ params["a"]["kernel"]) @ params["b"]["kernel"]

    def softmax(z):
        e = np.exp(z - z.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True)

    grid = LinearGrid(2)
    found = sensitivities(model, params, ["a/kernel", "b/kernel"], [grid], x)
    coarse = np.asarray(grid.encode(params["a"]["kernel"].T).dequantize()).T
    p, q = softmax(np.tanh(x @ params["a"]["kernel"])), softmax(np.tanh(x @ coarse))
    np.testing.assert_allclose(found[0, 0], np.mean(np.sum(p * np.log(p / q), 1)))
    # The identity is on the grid.
    np.testing.assert_allclose(found[1, 0], 0, atol=1e-15)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: allocate_bits([[1.0, 2.0]], [10], [2, 4], 19), "takes 20"),
        (lambda: allocate_bits([[1.0]], [10], [2, 4], 99), r"got \(1, 1\), 1 sizes"),
        (lambda: allocate_bits([[jnp.nan]], [10], [2], 99), "not finite"),
        (lambda: batch_statistics_loss(jnp.ones((1, 1, 1, 2)), []), "two positions"),
        (
            lambda: batch_statistics_loss(jnp.ones((1, 2, 2, 2)), [], statistics="all"),
            "statistics",
        ),
        (
            lambda: sensitivities(lambda p, x: x, {"a": jnp.ones(2)}, ["b"], [], 0),
            "no leaf 'b'; there are a",
        ),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words):
        make()
