"""What the sharpness links share."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.transforms.sharpness.link import running_average


@pytest.mark.parametrize(("count", "expected"), [(0, [4.0, -2.0]), (1, [1.75, 1.0])])
def test_an_average_begins_with_the_first_gradient(count, expected):
    old, gradient = jnp.array([1.0, 2.0]), jnp.array([4.0, -2.0])
    found = running_average({"w": old}, {"w": gradient}, 0.75, jnp.array(count))["w"]
    np.testing.assert_array_equal(found, expected)
