"""Batches without an entry, and images without a height and a width."""

import numpy as np
import pytest

from jaxopt_lab.core.entries import check_entries, check_images
from jaxopt_lab.core.errors import InputError


def test_entries():
    batch = {"image": 0, "label": 1}
    check_entries(batch, ())
    check_entries(batch, ("label", "image"), "mix")
    with pytest.raises(InputError, match="^the batch has no 'x'; it has image, label$"):
        check_entries(batch, ("image", "x"))
    with pytest.raises(InputError, match="no 'x' to mix; it has nothing$"):
        check_entries({}, ("x", "y"), "mix")


@pytest.mark.parametrize(
    "shape, channels, accepted",
    [
        ((2, 3), False, r"\(B, H, W, \.\.\.\)"),
        ((2, 3, 3), True, r"\(B, H, W, C\)"),
        ((2, 3, 3, 1, 1), True, r"\(B, H, W, C\)"),
    ],
)
def test_images(shape, channels, accepted):
    check_images(np.zeros((0, 3, 3, 1)), "turn", channels=channels)
    with pytest.raises(InputError, match=rf"images to turn have shape .*{accepted}$"):
        check_images(np.zeros(shape), "turn", channels=channels)


def test_any_axes_behind_the_width():
    for shape in ((2, 3, 3), (2, 3, 3, 1, 1)):
        check_images(np.zeros(shape), "turn")
