"""One recipe for model and transformation, in code and on the command line."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lab.core import codecs
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import runs
from jaxopt_lab.lab.command_line import parse
from jaxopt_lab.lab.quant_recipe import QuantRecipe, quant_recipe
from jaxopt_lab.quantize import LinearGrid, product_grids, quantized_products
from jaxopt_lab.transforms.compressed import quantize_state
from jaxopt_lab.transforms.compressed.selection import moments

PARAMS = {"kernel": np.random.default_rng(0).normal(size=(3, 4))}


def model(params, x):
    return x @ params["kernel"]


def test_the_parts_are_those_applied_one_by_one():
    recipe = QuantRecipe(
        *(LinearGrid(4, min_range=r) for r in (1e-5, 1e-5, 1e-9)),
        m=codecs.Linear(),
        v=codecs.dynamic(8, signed=False),
        min_size=2,
    )
    by_hand = (
        quantized_products(model, product_grids("w4a4g4")),
        quantize_state(
            optax.adam(0.1), m=recipe.m, v=recipe.v, select=moments(min_size=2)
        ),
    )
    x = np.random.default_rng(1).normal(size=(5, 3))

    def step(apply, tx, params):
        state = tx.init(params)
        for _ in range(2):
            grads = jax.grad(lambda p: jnp.sum(jnp.cos(apply(p, x))))(params)
            updates, state = tx.update(grads, state, params)
            params = optax.apply_updates(params, updates)
        return params

    pairs = recipe(model, optax.adam(0.1)), by_hand
    one, other = jax.jit(lambda p: [step(*pair, p) for pair in pairs])(PARAMS)
    np.testing.assert_array_equal(one["kernel"], other["kernel"])


def test_nothing_to_round_leaves_both_as_they_are():
    apply, tx = QuantRecipe()(model, optax.sgd(0.1))
    assert apply is model
    assert jax.tree.leaves(tx.init(PARAMS)) == []


def test_the_command_line_rounds_model_and_state():
    words = ["task=digits", "model=mlp", "model.width=64", "model.depth=1"]
    run = runs.assemble(parse([*words, "method=adamw", "quantize=w8a8m8v8"]))
    state = jax.eval_shape(lambda: run.state)
    kinds = [leaf.dtype.name for leaf in jax.tree.leaves(state.opt_state)]
    # Both moments of the one kernel of 4096 elements.
    assert kinds.count("uint8") == 2


@pytest.mark.parametrize("text", ["", "w9", "m7", "v", "a8w8", "m8w8", "w8 m8"])
def test_other_bits_are_refused(text):
    with pytest.raises(InputError, match="names no bits; accepted: w8a8"):
        quant_recipe(text)


def test_bad_input():
    with pytest.raises(InputError, match="weights must be a grid or None"):
        QuantRecipe(weights=8)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="m must be a codec or None"):
        QuantRecipe(m=LinearGrid())  # type: ignore[arg-type]
    with pytest.raises(InputError, match="v: the optimizer keeps no second moment"):
        quant_recipe("v8")(model, optax.sgd(0.1, 0.9))[1].init(PARAMS)
