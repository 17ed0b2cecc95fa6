"""Shapes of arrays without examples, and of others."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.shapes import flattened, refuse_empty


@pytest.mark.parametrize(
    "shape, start, expected",
    [
        ((0, 2, 3), 1, (0, 6)),
        ((0,), 1, (0, 1)),
        ((2, 3), 1, (2, 3)),
        ((2, 0, 4), 1, (2, 0)),
        ((2, 3, 4, 5), 2, (2, 3, 20)),
        ((2, 3), 0, (6,)),
    ],
)
def test_axes_become_one(shape, start, expected):
    assert flattened(np.zeros(shape), start).shape == expected
    assert flattened(jnp.zeros(shape), start).shape == expected


def test_the_order_of_the_numbers_stays():
    x = np.arange(24).reshape(2, 3, 4)
    np.testing.assert_array_equal(flattened(x), x.reshape(2, -1))


def test_an_array_without_examples_is_refused():
    refuse_empty("x", np.zeros((1, 0)))
    with pytest.raises(InputError, match=r"^x must hold at least one example; .*\(0, "):
        refuse_empty("x", np.zeros((0, 4)))
