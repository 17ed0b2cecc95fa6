"""RotNet's turns against NumPy's, and the entries beside them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.data import rotations

IMAGES = np.random.default_rng(0).integers(0, 255, (3, 4, 4, 2)).astype(np.uint8)
BATCH = {"image": IMAGES, "label": np.arange(3), "weight": np.ones(3), "rate": 0.5}
KEY = jax.random.key(0)


def test_all_four_turns_of_an_image_follow_each_other():
    found = jax.jit(rotations(entry="label"))(KEY, BATCH)
    turned = [np.rot90(x, k) for x in IMAGES for k in range(4)]
    np.testing.assert_array_equal(found["image"], turned)
    assert found["image"].dtype == np.uint8 and found["label"].dtype == np.int32
    np.testing.assert_array_equal(found["label"], [0, 1, 2, 3] * 3)
    assert found["weight"].shape == (12,) and found["rate"] == 0.5
    # Another key changes nothing, and classes go with their images.
    again = rotations(2)(jax.random.key(1), BATCH)
    np.testing.assert_array_equal(again["label"], [0, 0, 1, 1, 2, 2])
    np.testing.assert_array_equal(again["image"][::2], IMAGES)


def test_four_turns_are_none():
    one = rotations(4)(KEY, BATCH)["image"][1::4]
    for _ in range(3):
        one = rotations(4)(KEY, {"image": one})["image"][1::4]
    np.testing.assert_array_equal(one, IMAGES)


def test_one_turn_of_each_image_is_drawn_uniformly():
    many = {"image": jnp.broadcast_to(jnp.arange(9.0).reshape(1, 3, 3), (4000, 3, 3))}
    found = rotations(3, every=False)(KEY, many)
    turns = np.asarray(found["rotation"])
    shares = np.bincount(turns, minlength=4) / 4000
    np.testing.assert_allclose(shares, [1 / 3, 1 / 3, 1 / 3, 0], atol=0.03)
    for k in range(3):
        wanted = np.rot90(np.arange(9.0).reshape(3, 3), k)
        assert (np.asarray(found["image"])[turns == k] == wanted).all()
    assert rotations(1)(KEY, BATCH) is BATCH


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: rotations(5), "turns must be a whole number from 1 to 4|turns"),
        (lambda: rotations()(KEY, {"x": 1}), "no 'image' to turn; it has"),
        (
            lambda: rotations()(KEY, {"image": np.ones((2, 3, 4))}),
            r"shape \(2, 3, 4\); accepted: \(B, H, H",
        ),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words):
        make()
