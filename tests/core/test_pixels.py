"""Pixels as floats."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.pixels import to_float


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_integers_are_divided_by_255(dtype):
    found = to_float(np.array([0, 51, 255], dtype))
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, [0, 0.2, 1], rtol=1e-6)


def test_a_mask_is_zeros_and_ones():
    found = to_float(np.array([True, False]))
    assert found.dtype == jnp.float32 and found.tolist() == [1.0, 0.0]


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_floats_stay(dtype):
    images = jnp.ones(2, dtype)
    assert to_float(images) is images


def test_complex_pixels_are_refused():
    with pytest.raises(InputError, match="^pixels must be real; got complex64"):
        to_float(np.ones(2, np.complex64))
