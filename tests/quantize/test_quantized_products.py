"""Whole models with rounded products, against products rounded one by one."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.quantize import product_grids, quant_matmul, quantized_products
from jaxopt_lab.training import from_nnx

RNG = np.random.default_rng(0)
GRIDS = product_grids("w4a8g8")
X = RNG.normal(size=(3, 2, 5))


class Net(nnx.Module):
    def __init__(self, rngs):
        options = {"rngs": rngs, "param_dtype": jnp.float64}
        self.norm = nnx.LayerNorm(5, **options)
        self.hidden = nnx.Linear(5, 4, **options)
        self.head = nnx.LinearGeneral((2, 4), 3, axis=(-2, -1), **options)

    def __call__(self, x):
        return self.head(jax.jit(nnx.relu)(self.hidden(self.norm(x))))


def test_a_model_of_flax_has_every_product_of_a_kernel_rounded():
    functional = from_nnx(lambda rngs: Net(rngs))
    params, state = functional.init(jax.random.key(0))

    def by_hand(params, x):
        mean = x.mean(-1, keepdims=True)
        spread = ((x - mean) ** 2).mean(-1, keepdims=True)
        y = (x - mean) * jax.lax.rsqrt(spread + 1e-6)
        y = y * params["norm"]["scale"] + params["norm"]["bias"]
        kernel, bias = params["hidden"]["kernel"], params["hidden"]["bias"]
        y = quant_matmul(y.reshape(6, 5), kernel.T, GRIDS) + bias
        kernel, bias = params["head"]["kernel"], params["head"]["bias"]
        y = jax.nn.relu(y).reshape(3, 8)
        return quant_matmul(y, kernel.reshape(8, 3).T, GRIDS) + bias

    def model(params, x):
        return functional.apply(params, state, x, train=True)[0]

    @jax.jit
    def all_of(params, x):
        with jax.numpy_rank_promotion("allow"):
            both = [
                jax.vjp(f, params, x)
                for f in (quantized_products(model, GRIDS), by_hand, model)
            ]
            return [(y, pull(jnp.cos(y))) for y, pull in both]

    ours, expected, plain = all_of(params, X)
    # No value is so near to a tie that the last place of another program matters.
    for one, other in zip(*map(jax.tree.leaves, (ours, expected)), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-11)
    assert np.abs(ours[0] - plain[0]).max() > 1e-3


def test_a_kernel_on_the_left_and_one_that_stays():
    params = {
        "a": {"kernel": RNG.normal(size=(5, 4))},
        "b": {"kernel": np.ones((4, 1))},
    }

    def model(params, x):
        y = jax.lax.dot_general(params["a"]["kernel"], x, (((0,), (1,)), ((), ())))
        return y.T @ params["b"]["kernel"]

    x = X[:, 0]
    found = quantized_products(model, GRIDS, keep="b/")(params, x)
    y = quant_matmul(jnp.asarray(x), jnp.asarray(params["a"]["kernel"].T), GRIDS)
    np.testing.assert_allclose(found, y @ params["b"]["kernel"], rtol=1e-13)


@pytest.mark.parametrize("text", ["", "w9a8", "8", "a8w8", "w8 a8"])
def test_other_bits_are_refused(text):
    with pytest.raises(InputError, match="accepted: w8a8, w4a8g8"):
        product_grids(text)


def test_nothing_to_round_is_an_error():
    model = quantized_products(lambda p, x: x * p["kernel"], GRIDS)
    with pytest.raises(InputError, match="no product of kernel to quantize"):
        model({"kernel": jnp.ones(2)}, jnp.ones(2))
    with pytest.raises(InputError, match="finds none of scale"):
        model({"scale": jnp.ones(2)}, jnp.ones(2))


def test_a_kernel_in_a_loop_is_named_and_can_be_kept():
    params = {"a": {"kernel": np.ones((5, 5))}, "b": {"kernel": np.ones((5, 1))}}

    def model(params, x):
        turn = lambda y, _: (y @ params["a"]["kernel"], None)
        return jax.lax.scan(turn, x, length=2)[0] @ params["b"]["kernel"]

    with pytest.raises(InputError, match="no product of a/kernel to quantize"):
        quantized_products(model, GRIDS)(params, X[:, 0])
    assert quantized_products(model, GRIDS, keep="a/")(params, X[:, 0]).shape == (3, 1)


@pytest.mark.parametrize("to", ["weights", "inputs", "both"])
def test_a_convolution_of_whole_images_is_the_dense_product(to):
    """One step an output and an example; the gradient where it belongs."""
    grids = dataclasses.replace(GRIDS, gradient_to=to)
    kernel, x = RNG.normal(size=(2, 3, 2, 4)), RNG.normal(size=(3, 2, 3, 2))

    def conv(params, x):
        return jax.lax.conv_general_dilated(
            x,
            params["kernel"],
            (1, 1),
            "VALID",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )

    def dense(params, x):
        weight = params["kernel"].reshape(12, 4).T
        return quant_matmul(x.reshape(3, 12), weight, grids).reshape(3, 1, 1, 4)

    @jax.jit
    def both(params, x):
        pairs = [
            jax.vjp(f, params, x) for f in (quantized_products(conv, grids), dense)
        ]
        return [(y, pull(jnp.cos(y))) for y, pull in pairs]

    one, other = both({"kernel": kernel}, x)
    for a, b in zip(*map(jax.tree.leaves, (one, other)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)
