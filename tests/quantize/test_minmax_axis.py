"""Affine codes between the least and the largest number."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.quantize import entropy_bits, minmax_best_axis


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_numbers_are_within_half_a_step_of_their_codes(bits):
    rng = np.random.default_rng(bits)
    slices = 10.0 ** rng.uniform(-3, 2, size=(4, 1))
    for x in (
        rng.normal(size=(7,)),
        100.0 + 0.01 * rng.normal(size=(5, 3)),
        slices * rng.normal(size=(4, 300)),
        np.full((3, 2), -7.3),
        np.zeros(4),
    ):
        found = minmax_best_axis(x, bits=bits)
        codes, low, scale = (np.asarray(part, np.float64) for part in found)
        apart, half = np.abs(codes * scale + low - x), scale / 2
        assert codes.min() >= 0 and codes.max() < 1 << bits
        assert np.all(apart <= half + 1e-12 * np.abs(x))


def test_slices_of_different_sizes_have_ranges_of_their_own():
    x = np.array([[1.0], [100.0]]) * np.random.default_rng(0).normal(size=(2, 400))
    assert minmax_best_axis(x, bits=6).low.shape == (2, 1)
    # Of few numbers the ranges themselves would be too many.
    assert minmax_best_axis(x[:, :20], bits=6).low.shape == (1, 1)


def test_entropy_is_that_of_the_shares():
    codes = np.array([0] * 4 + [1] * 2 + [2] * 2)
    assert entropy_bits(jnp.asarray(codes)) == 4 * 1 + 4 * 2


def test_bad_input_is_one_line():
    for x, words in (
        (np.zeros(0), "at least one"),
        (np.array([1, 2]), "floating"),
        (np.array([np.nan]), "finite"),
        (np.array([1e9]), "finite"),
    ):
        with pytest.raises(InputError, match=words) as raised:
            minmax_best_axis(x)
        assert "\n" not in str(raised.value)
