"""The generator of Genie: its images, and the loss that it lowers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.quantize import (
    Normalized,
    batch_statistics_loss,
    distill_with_generator,
    generate_images,
    image_generator,
    init_generator,
)
from jaxopt_lab.quantize.modules import ImageGenerator

SHAPE = (3, 4, 4, 2)


def normalized(y):
    mean, variance = np.mean(y, (0, 1, 2)), np.var(y, (0, 1, 2))
    return (y - mean) / np.sqrt(variance + 1e-5)


def convolved(y, kernel, bias):
    padded = np.pad(y, ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows, columns = y.shape[1:3]
    return bias + sum(
        padded[:, a : a + rows, b : b + columns] @ kernel[a, b]
        for a in range(3)
        for b in range(3)
    )


def twice(y):
    return np.repeat(np.repeat(y, 2, 1), 2, 2)


def test_the_images_are_those_of_plain_numpy():
    params = init_generator(jax.random.key(0), SHAPE, latent=5, width=4)
    draw = np.random.default_rng(0)
    params = {
        n: np.asarray(w) + draw.normal(size=w.shape) / 4 for n, w in params.items()
    }
    latents = draw.normal(size=(3, 5))
    y = (latents @ params["dense"] + params["dense_bias"]).reshape(3, 1, 1, 4)
    y = twice(normalized(y) * params["norm0_scale"] + params["norm0_bias"])
    y = normalized(convolved(y, params["conv1"], params["conv1_bias"]))
    y = y * params["norm1_scale"] + params["norm1_bias"]
    y = twice(np.where(y >= 0, y, 0.2 * y))
    y = normalized(np.tanh(convolved(y, params["conv2"], params["conv2_bias"])))
    found = jax.jit(generate_images, static_argnums=2)(params, latents, SHAPE)
    np.testing.assert_allclose(found, y, rtol=1e-9, atol=1e-12)


def test_the_module_has_the_images_of_the_function():
    module = ImageGenerator(SHAPE[1:], latent=5, width=4, rngs=nnx.Rngs(3))
    params = nnx.to_pure_dict(nnx.state(module, nnx.Param))
    latents = np.random.default_rng(1).normal(size=(3, 5)).astype(np.float32)
    model = image_generator(SHAPE, latent=5, width=4)
    assert jax.tree.map(np.shape, params) == jax.tree.map(
        np.shape, jax.eval_shape(model.init, jax.random.key(0))[0]
    )
    both = lambda p, z: (
        nnx.merge(graph, p)(z),
        model.apply(nnx.to_pure_dict(p), {}, z, train=False)[0],
    )
    graph, state = nnx.split(module)
    one, two = jax.jit(both)(state, latents)
    np.testing.assert_array_equal(one, two)


def test_a_generator_of_another_shape_is_refused():
    other = image_generator((3, 8, 8, 2), latent=5, width=4)
    with pytest.raises(InputError, match=r"must make images \(3, 4, 4, 2\); got"):
        call(latent=5, swing=False, generator=other)()


def observe(params, x):
    y = jax.lax.conv_general_dilated(
        x, params, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return [Normalized(y, jnp.array([0.5, -0.5, 0.0]), jnp.array([2.0, 0.5, 1.0]))]


@pytest.mark.full
def test_inputs_come_near_the_statistics_and_a_traced_key_gives_the_same():
    kernel = np.random.default_rng(1).normal(size=(3, 3, 2, 3)) / 4

    def run(key, params):
        return distill_with_generator(
            key, observe, params, SHAPE, steps=60, latent=5, width=4, patience=10
        )

    found = run(jax.random.key(0), kernel)
    assert found.inputs.shape == SHAPE
    value = batch_statistics_loss(
        found.inputs, observe(kernel, found.inputs), statistics="batch"
    )
    losses = np.asarray(found.losses)
    assert value < 0.7 * losses[0] and np.mean(losses[-5:]) < 0.7 * losses[0]
    best, waited, rate = np.inf, 0, 0.1
    for loss, told in zip(losses, found.rates, strict=True):
        np.testing.assert_allclose(told, rate, rtol=1e-6)
        better = loss < best * (1 - 1e-4)
        best, waited = (loss, 0) if better else (best, waited + 1)
        if waited > 10:
            rate, waited = min(rate, max(rate / 10, 1e-4)), 0
    traced = jax.jit(run)(jax.random.key(0), kernel)
    np.testing.assert_allclose(traced.inputs, found.inputs, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(traced.losses, losses, rtol=1e-8)


def call(shape=SHAPE, observe=observe, **options):
    kernel = jnp.ones((3, 3, 2, 3))
    key = jax.random.key(0)
    return lambda: distill_with_generator(
        key, observe, kernel, shape, steps=1, **options
    )


@pytest.mark.parametrize(
    "make, words",
    [
        (call((3, 6, 4, 2)), "sides divisible by 4, by an even width; got"),
        (call(width=3), "by an even width"),
        (call(observe=lambda p, x: []), "at least one batch normalization"),
        (
            call(observe=lambda p, x: [Normalized(x, jnp.zeros(2), jnp.ones(2))]),
            "no convolution with a stride",
        ),
        (call(latent=0), "latent must"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words) as told:
        make()
    assert "\n" not in str(told.value)
