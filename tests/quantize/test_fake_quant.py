"""Straight-through rounding of arrays and trees."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.quantize import GPTQGrid, LinearGrid, fake_quant, fake_quant_tree


def test_values_are_those_of_the_grid_and_the_derivative_is_one():
    x = np.random.default_rng(0).normal(size=(3, 5))
    grid = LinearGrid(3)

    @jax.jit
    def all_of(x):
        value, pull = jax.vjp(lambda x: fake_quant(x, grid), x)
        return value, grid.encode(x).dequantize(), pull(2 * x)[0]

    value, expected, slope = all_of(x)
    np.testing.assert_array_equal(value, expected)
    np.testing.assert_array_equal(slope, 2 * x)


def test_a_tree_has_one_step_an_output():
    rng = np.random.default_rng(0)
    params = {
        "conv": {"kernel": rng.normal(size=(2, 2, 3, 4)), "bias": rng.normal(size=4)},
        "head": {"kernel": rng.normal(size=(4, 2))},
    }
    rules = [("head", None), ("kernel", GPTQGrid(4)), ("bias", LinearGrid(2))]
    coarse = jax.jit(lambda p: fake_quant_tree(p, rules))(params)
    flat = params["conv"]["kernel"].reshape(12, 4)
    for column in range(4):
        values = np.asarray(coarse["conv"]["kernel"]).reshape(12, 4)[:, column]
        assert len(np.unique(values)) <= 16
        ends = flat[:, column].min(), flat[:, column].max()
        step = (max(ends[1], 0) - min(ends[0], 0)) / 15
        assert np.abs(values - flat[:, column]).max() <= step
    np.testing.assert_array_equal(coarse["head"]["kernel"], params["head"]["kernel"])
    np.testing.assert_array_equal(coarse["conv"]["bias"], params["conv"]["bias"])


def test_not_a_number_stays_visible():
    assert bool(jnp.isnan(fake_quant(jnp.array([1.0, jnp.nan]), LinearGrid(4))).any())


def test_a_rule_that_matches_nothing_is_refused_with_the_paths():
    with pytest.raises(InputError, match="rule 'kernels' matches no leaf .*a/kernel"):
        fake_quant_tree({"a": {"kernel": jnp.ones((2, 2))}}, [("kernels", None)])
