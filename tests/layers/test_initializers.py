"""Initializers against jax's, where those have a counterpart."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import lecun_normal_untruncated

KEY = jax.random.key(3)


@pytest.mark.parametrize("shape", [(40, 30), (3, 3, 8, 16)])
def test_it_is_a_normal_distribution_with_variance_one_over_the_inputs(shape):
    w = np.asarray(lecun_normal_untruncated(KEY, shape, jnp.float64))
    inputs = np.prod(shape[:-1])
    normal = jax.random.normal(KEY, shape, jnp.float64)
    np.testing.assert_allclose(w * np.sqrt(inputs), normal, rtol=1e-14)


def test_the_tails_are_there():
    shape = (100, 200)
    w = np.asarray(lecun_normal_untruncated(KEY, shape))
    cut = np.asarray(jax.nn.initializers.lecun_normal()(KEY, shape))
    assert abs(w).max() > 3.5 / 10 > abs(cut).max()
    np.testing.assert_allclose(w.std(), cut.std(), rtol=0.03)


def test_narrow_types_are_rounded_once():
    wide = lecun_normal_untruncated(KEY, (8, 4), jnp.float32)
    narrow = lecun_normal_untruncated(KEY, (8, 4), jnp.bfloat16)
    np.testing.assert_array_equal(narrow, wide.astype(jnp.bfloat16))


@pytest.mark.parametrize(
    "shape, dtype, words",
    [
        ((3,), jnp.float32, r"at least two axes.*got \(3,\)"),
        ((0, 3), jnp.float32, r"at least one input; got \(0, 3\)"),
        ((2, 3), jnp.int32, "real floating type"),
        ((2, 3), jnp.complex64, "real floating type"),
    ],
)
def test_what_it_cannot_make(shape, dtype, words):
    with pytest.raises(InputError, match=words):
        lecun_normal_untruncated(KEY, shape, dtype)
