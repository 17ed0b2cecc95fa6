"""Channels as positions against loops."""

import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import pixel_shuffle, pixel_unshuffle


def test_channels_go_to_their_rows_and_columns():
    x = np.random.default_rng(0).normal(size=(2, 3, 2, 12))
    wanted = np.zeros((2, 6, 4, 3))
    for c in range(3):
        for i in range(2):
            for j in range(2):
                wanted[:, i::2, j::2, c] = x[..., c * 4 + i * 2 + j]
    found = pixel_shuffle(x, 2)
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(pixel_unshuffle(found, 2), x)
    np.testing.assert_array_equal(pixel_shuffle(x, 1), x)


def test_bad_input_is_one_line():
    for call, words in (
        (lambda: pixel_shuffle(np.ones((2, 2, 6)), 2), "6 channels"),
        (lambda: pixel_unshuffle(np.ones((2, 3, 1)), 2), "divide 2 and 3"),
    ):
        with pytest.raises(InputError, match=words) as raised:
            call()
        assert "\n" not in str(raised.value)
