"""Weak and strong views: which pixels they move, and the neutral ones."""

import jax
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.data import views
from jaxopt_lab.data.views import same_views

IMAGES = np.random.default_rng(0).uniform(0.1, 1, (50, 7, 5, 2))
BATCH = {"image": IMAGES, "label": np.arange(50)}
KEY = jax.random.key(0)


def is_shift(view, image):
    """Whether a view is the image shifted by at most one pixel, or mirrored too."""
    for x in (image, image[:, ::-1]):
        padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        for i in range(3):
            for j in range(3):
                if np.array_equal(padded[i : i + 7, j : j + 5], view):
                    return True
    return False


def test_weak_views_are_shifts_and_strong_ones_are_not():
    found = jax.jit(views(0.6, probability=0.5))(KEY, BATCH)
    weak, strong = np.asarray(found["image"]), np.asarray(found["strong"])
    assert all(map(is_shift, weak, IMAGES))
    assert not any(map(is_shift, strong, IMAGES))
    assert (weak != IMAGES).any((1, 2, 3)).mean() > 0.8
    # The erased rectangle has the smallest pixel.
    least = strong <= strong.min((1, 2, 3), keepdims=True) + 1e-12
    holes = least.all(-1).mean((1, 2))
    assert holes.min() > 0 and holes.max() < 0.5
    np.testing.assert_array_equal(found["label"], BATCH["label"])


def test_at_strength_0_both_are_weak_and_without_shifts_the_image():
    found = jax.jit(views(0.0))(KEY, BATCH)
    assert all(map(is_shift, np.asarray(found["strong"]), IMAGES))
    assert (np.asarray(found["strong"]) != np.asarray(found["image"])).any()
    pixels = {"image": (255 * IMAGES).astype(np.uint8)}
    still = views(0.0, pad=0)(KEY, pixels)
    np.testing.assert_array_equal(still["strong"], still["image"])
    np.testing.assert_array_equal(still["image"], same_views()(KEY, pixels)["image"])
    assert still["image"].dtype == np.float32


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: views(1.5), "strength must lie in"),
        (lambda: views(pad=-1), "pad must be a whole number of at least 0|pad"),
        (lambda: views()(KEY, {"x": 1}), "no 'image' to view; it has"),
        (
            lambda: views()(KEY, {"image": np.ones((2, 3))}),
            r"shape \(2, 3\); accepted: \(B, H, W, C",
        ),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words):
        make()
