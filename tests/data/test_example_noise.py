"""Multiplicative noise on weights: its moments, and what it refuses."""

import jax
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.data import example_noise

KEY = jax.random.key(0)


def test_weights_are_scaled_by_normal_numbers_about_one():
    weight = np.full(20_000, 2.0)
    noisy = jax.jit(example_noise(0.5, entry="w"))(KEY, {"w": weight})["w"] / 2
    assert abs(noisy.mean() - 1) < 5 * 0.5 / 20_000**0.5
    assert abs(noisy.std() - 0.5) < 0.02


@pytest.mark.parametrize(
    "batch, words",
    [
        ({"image": np.ones(3)}, "the batch has no weights 'w'; it has"),
        ({"w": np.ones(3, np.int32)}, "weights must be floats"),
        ({"w": np.ones((3, 2))}, "weights must be floats"),
    ],
)
def test_what_it_refuses(batch, words):
    with pytest.raises(InputError, match=words):
        example_noise(0.5, entry="w")(KEY, batch)
    with pytest.raises(InputError, match="std must be at least 0"):
        example_noise(-1.0, entry="w")
