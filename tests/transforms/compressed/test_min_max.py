"""The range of a block in four bits, and its derivative."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.transforms.compressed.min_max import MinMax4, smallest


def test_the_derivative_of_a_minimum_is_that_of_one_element():
    x = jnp.array([[[3.0, 1.0], [1.0, 2.0]], [[0.0, 0.0], [0.0, 0.0]]])

    @jax.jit
    def slopes(x):
        value = lambda x: jnp.sum(
            jnp.array([2.0, 5.0]) * smallest(x, (-2, -1))[:, 0, 0]
        )
        twice = jax.grad(lambda x: jnp.sum(jax.grad(value)(x) * x))(x)
        return smallest(x, (-2, -1)), jax.grad(value)(x), twice

    found, once, twice = slopes(x)
    np.testing.assert_array_equal(found, x.min((1, 2), keepdims=True))
    wanted = np.zeros((2, 2, 2))
    wanted[0, 0, 1], wanted[1, 0, 0] = 2.0, 5.0
    np.testing.assert_array_equal(once, wanted)
    np.testing.assert_array_equal(twice, wanted)
    assert np.isnan(smallest(jnp.array([1.0, jnp.nan]), (-1,))[0])


@pytest.mark.full
def test_the_derivative_of_a_rounded_block_goes_through_both_ends():
    codec, x = MinMax4(4), jnp.array([0.33, -1.0, 2.0, 0.13])

    def value(x):
        return jnp.sum(jnp.arange(4.0) * codec.decode(codec.encode(x), (4,), x.dtype))

    step = 1e-6 * jnp.eye(4)
    moved = jax.vmap(lambda d: (value(x + d) - value(x - d)) / 2e-6)(step)
    np.testing.assert_allclose(jax.grad(value)(x), moved, atol=1e-8)
