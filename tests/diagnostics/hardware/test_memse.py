"""Moments of noisy networks: recorded ones, and those of simulated draws."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.vectors import VECTORS

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.diagnostics.hardware import (
    crossbar,
    crossbar_conv,
    exact,
    linear_map,
    memse,
    relu_moments,
    softplus_moments,
    sum_of,
)

ACTIVATIONS = {None: None, "relu": relu_moments, "softplus": softplus_moments}


@pytest.mark.full(plain=["relu_noisy"])
@pytest.mark.parametrize("case", ["linear3", "relu_noisy", "softplus"])
def test_the_recorded_moments_error_and_power(case):
    with np.load(VECTORS / "memse" / f"{case}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    meta = json.loads(str(arrays["meta"]))
    weights = [arrays[k] for k in sorted(k for k in arrays if k.startswith("init/W"))]
    between = ACTIVATIONS[meta["activation"]]

    @jax.jit
    def all_of(weights, x, target):
        layers = []
        for weight in weights:
            layers += [] if between is None or not layers else [between]
            layers.append(
                crossbar(
                    weight,
                    noise=meta["sigma"],
                    levels=meta["N"],
                    max_conductance=meta["Gmax"],
                    resistance=meta["r"],
                )
            )
        return memse(layers, x, target), [layer for layer in layers if layer != between]

    found, crossbars = all_of(weights, arrays["init/x"], arrays["out/target"])
    for i, one in enumerate(crossbars):
        np.testing.assert_array_equal(one.weight, arrays[f"quant/W{i}"])
    for value, name in zip(found, ("mse_pred", "mu", "gamma", "power"), strict=True):
        np.testing.assert_allclose(
            value, arrays[f"out/{name}"], rtol=1e-10, atol=1e-14, err_msg=name
        )


def simulated(one, key, draws):
    """Draws of the weights of a crossbar."""
    spread = one.noise / one.conductance[:, None]
    pair = jax.random.normal(key, (2, draws, *one.weight.shape))
    return one.weight[None] + spread[None] * (pair[0] - pair[1])


@pytest.mark.full
def test_the_prediction_of_a_small_network_is_inside_of_the_simulated_interval():
    """Convolution, average pooling and a dense layer; 1e4 draws, 99.9 % intervals."""
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(3, 3, 2, 3)) / 4
    dense = rng.normal(size=(4, 12)) / 4
    x = rng.normal(size=(1, 4, 4, 2))
    options = {"noise": 0.02, "levels": 64}
    conv = crossbar_conv(kernel, (4, 4, 2), **options)
    head = crossbar(jnp.asarray(dense), **options)
    pool = np.zeros((2, 2, 3, 4, 4, 3))
    for i in range(2):
        for j in range(2):
            for c in range(3):
                pool[i, j, c, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2, c] = 0.25
    pool = jnp.asarray(pool.reshape(12, 48))

    padded = np.pad(x[0], ((1, 1), (1, 1), (0, 0)))
    patches = jnp.asarray(
        [padded[i : i + 3, j : j + 3].reshape(-1) for i in range(4) for j in range(4)]
    )

    def forward(kernel, dense, rectify):
        y = (patches @ kernel.reshape(18, 3)).reshape(-1)
        y = jax.nn.relu(y) if rectify else y
        return dense @ (pool @ y)

    def pooled(moments):
        return linear_map(moments, pool)

    for rectify, slack in ((False, 0.0), (True, 0.05)):
        target = forward(jnp.asarray(kernel), dense, rectify)
        layers = [conv, *([relu_moments] if rectify else []), pooled, head]
        predicted = memse(layers, x, target[None])

        @jax.jit
        def draws(key, rectify=rectify):
            keys = jax.random.split(key)
            kernels = simulated(conv.matrix, keys[0], 10_000)
            kernels = jnp.swapaxes(kernels, 1, 2).reshape(-1, 3, 3, 2, 3)
            heads = simulated(head, keys[1], 10_000)
            return jax.vmap(lambda k, d: forward(k, d, rectify))(kernels, heads)

        errors = np.asarray(draws(jax.random.key(1)) - target[None]) ** 2
        half = 3.3 * errors.std(0) / 100
        apart = np.abs(errors.mean(0) - predicted.error[0])
        assert (apart <= half + slack * errors.mean(0)).all(), (apart, half)


def test_a_convolution_of_whole_images_is_a_dense_crossbar():
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(2, 3, 2, 3))
    mean, root = rng.normal(size=12), rng.normal(size=(12, 12))

    @jax.jit
    def both(mean, root):
        moments = exact(mean)._replace(covariance=root @ root.T)
        conv = crossbar_conv(kernel, (2, 3, 2), padding="VALID")
        dense = crossbar(kernel.reshape(12, 3).T)
        return [(*f(moments), f.power(moments)) for f in (conv, dense)]

    for one, other in zip(*both(mean, root), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


@pytest.mark.parametrize("activation", [relu_moments, softplus_moments])
def test_without_noise_it_is_the_function_and_derivatives_are_finite(activation):
    x = jnp.array([-1.0, 0.0, 2.0])
    plain = jax.nn.relu if activation is relu_moments else jax.nn.softplus

    @jax.jit
    def all_of(x):
        def total(x, covariance):
            found = activation(exact(x)._replace(covariance=covariance))
            return jnp.sum(found.mean) + jnp.sum(found.covariance)

        slopes = jax.grad(total, (0, 1))(x, jnp.zeros((3, 3)))
        return activation(exact(x)), slopes

    found, slopes = all_of(x)
    np.testing.assert_allclose(found.mean, plain(x), atol=1e-15)
    assert not np.any(found.covariance)
    assert all(np.isfinite(slope).all() for slope in slopes)


def test_rectified_moments_are_those_of_a_gaussian():
    """Against a sum over a fine grid of each signal."""
    nodes = np.linspace(-9, 9, 20_001)
    weights = np.exp(-(nodes**2) / 2)
    weights = weights / weights.sum()
    mean, variance = np.array([0.3, -0.5, 2.0]), np.array([0.5, 0.2, 0.01])
    values = np.maximum(mean[:, None] + np.sqrt(variance)[:, None] * nodes, 0)
    first, second = values @ weights, values**2 @ weights
    moments = exact(jnp.asarray(mean))._replace(covariance=jnp.diag(variance))
    found = jax.jit(relu_moments)(moments)
    np.testing.assert_allclose(found.mean, first, atol=1e-6)
    np.testing.assert_allclose(
        np.diagonal(found.covariance), second - first**2, atol=1e-6
    )


def test_sums_add_and_zero_weights_stay_finite():
    zeros = crossbar(jnp.zeros((2, 3)))
    found = jax.jit(lambda m: sum_of(zeros(m), zeros(m)))(exact(jnp.ones(3)))
    np.testing.assert_allclose(found.mean, 0)
    np.testing.assert_allclose(found.covariance, 4 * 3 * 1e-4 * np.eye(2), rtol=1e-6)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda w: crossbar(w[0]), "takes a real floating matrix"),
        (lambda w: crossbar(w, levels=0), "levels"),
        (lambda w: crossbar(w, noise=-0.1), "noise"),
        (lambda w: crossbar(w, scaling="row"), "scaling"),
        (lambda w: crossbar_conv(w, (2, 2, 1)), "takes a kernel"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words):
        make(jnp.ones((2, 3)))
