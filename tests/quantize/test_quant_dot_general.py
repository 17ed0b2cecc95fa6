"""Products of rounded operands against recorded outputs and gradients."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from support.vectors import VECTORS

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.quantize import LinearGrid, ProductGrids, quant_dot_general

LAST_AND_FIRST = (((2,), (0,)), ((), ()))


@pytest.mark.full(plain=["A_w4a8g8_dw"])
@pytest.mark.parametrize("case", ["A_w4a8g8_dw", "A_w8a8g8_dx"])
def test_the_recorded_outputs_and_gradients(case):
    with np.load(VECTORS / "quant_linear" / f"{case}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    meta = json.loads(str(arrays["meta"]))
    bits = {name: int(meta[name].split()[-2]) for name in ("weight", "act", "grad")}
    grids = ProductGrids(
        weights=LinearGrid(bits["weight"]),
        activations=LinearGrid(bits["act"]),
        gradients=LinearGrid(bits["grad"], min_range=1e-9),
        gradient_to="inputs" if meta["activation_grad_flag"] else "weights",
    )
    dot = quant_dot_general(grids)

    @jax.jit
    def all_of(x, weight, bias, gradient):
        def layer(x, weight, bias):
            return dot(x, weight.T, LAST_AND_FIRST) + bias[None, None]

        y, pull = jax.vjp(layer, x, weight, bias)
        return y, *pull(gradient)

    found = all_of(*(arrays[f"init/{name}"] for name in ("X", "W", "b", "G")))
    names = ("out/y", "grad/X", "grad/W", "grad/b")
    for value, name in zip(found, names, strict=True):
        np.testing.assert_allclose(value, arrays[name], atol=1e-12, err_msg=name)


def test_without_grids_it_is_the_plain_product_in_a_flax_layer():
    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    grids = ProductGrids()
    layers = [
        nnx.Linear(4, 5, rngs=nnx.Rngs(0), param_dtype=jnp.float64, **options)
        for options in ({}, {"dot_general": quant_dot_general(grids)})
    ]

    @jax.jit
    def all_of(x):
        both = [jax.vjp(layer, x) for layer in layers]
        return [(y, pull(jnp.sin(y))[0]) for y, pull in both]

    plain, ours = all_of(x)
    np.testing.assert_allclose(ours[0], plain[0], rtol=1e-14)
    np.testing.assert_allclose(ours[1], plain[1], rtol=1e-13)


def test_batch_axes_and_unknown_places_are_refused():
    dot = quant_dot_general(ProductGrids())
    with pytest.raises(InputError, match="without batch axes"):
        dot(jnp.ones((2, 3)), jnp.ones((2, 3)), (((1,), (1,)), ((0,), (0,))))
    with pytest.raises(InputError, match="gradient_to"):
        ProductGrids(gradient_to="weight")
