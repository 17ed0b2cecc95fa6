"""Rounded gradients: the recorded codes, the mean of stochastic ones, bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.vectors import VECTORS

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.quantize import GPTQGrid, LinearGrid, quantize_updates


def test_the_recorded_values_before_an_optimizer():
    """Kernels have their outputs last, the recorded matrix first."""
    with np.load(VECTORS / "linear_quant" / "A_w2d.npz") as file:
        x, wanted = file["init/x"], file["deq/row_sym_b4"]
    spec = LinearGrid(4, min_range=1e-5)
    tx = optax.chain(quantize_updates(spec=spec), optax.sgd(0.5))
    tree = {"kernel": x.T, "bias": x[0]}
    found = jax.jit(lambda t: tx.update(t, tx.init(t))[0])(tree)
    np.testing.assert_allclose(found["kernel"], -0.5 * wanted.T, atol=1e-12)
    np.testing.assert_array_equal(found["bias"], -0.5 * x[0])


def test_stochastic_rounding_is_unbiased_and_moves_on():
    g = {"kernel": np.random.default_rng(0).normal(size=(6, 2))}
    tx = quantize_updates(3, stochastic=True)

    @jax.jit
    def run(g):
        step = lambda state, _: tx.update(g, state)[::-1]
        return jax.lax.scan(step, tx.init(g), length=2000)[1]["kernel"]

    found, step = np.asarray(run(g)), np.abs(g["kernel"]).max(0) / 3
    np.testing.assert_allclose(found / step, np.round(found / step), atol=1e-9)
    np.testing.assert_allclose(
        found.mean(0), g["kernel"], atol=4 * 0.5 * step.max() / 2000**0.5
    )
    assert (found.std(0) <= 0.51 * step).all() and (found[0] != found[1]).any()


def test_the_derivative_is_that_of_the_identity():
    tx = quantize_updates(2)
    g = jnp.array([[0.3], [1.0], [0.0]])
    slope = jax.jit(jax.grad(lambda g: jnp.sum(tx.update(g, tx.init(g))[0] ** 2)))(g)
    np.testing.assert_array_equal(slope.ravel(), [0, 2, 0])


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: quantize_updates(1), "bits"),
        (lambda: quantize_updates(9), "bits"),
        (lambda: quantize_updates(spec=8), "spec must be a grid"),
        (lambda: quantize_updates(min_size=0), "min_size"),
        (lambda: quantize_updates().init({"w": jnp.ones((2, 2), complex)}), "complex"),
        (
            lambda: quantize_updates(
                spec=GPTQGrid(4, granularity="group", group_size=3)
            ).update({"w": jnp.ones((4, 2))}, quantize_updates().init({})),
            "group_size must divide",
        ),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words):
        make()
