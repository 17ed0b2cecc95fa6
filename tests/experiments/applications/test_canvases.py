"""Canvases: places, owners and sizes of their objects."""

import numpy as np
import pytest

from experiments.applications import canvases
from jaxopt_lab.core.errors import InputError

OBJECTS = np.ones((3, 8, 8)), np.array([4, 7, 9])


def drawn(seed=0, **options):
    rng = np.random.default_rng(seed)
    return canvases.draw(OBJECTS, 6, rng, size=32, sides=(8, 11), **options)


def test_objects_lie_in_the_canvas_and_own_their_pixels():
    found = drawn(fewest=2, most=3)
    counts = np.sum(found.labels >= 0, axis=1)
    assert counts.min() >= 1 and counts.max() <= 3
    for i, j in np.argwhere(found.labels >= 0):
        row, column, side = found.boxes[i, j]
        assert side in (8, 11) and found.labels[i, j] in OBJECTS[1]
        low, high = np.array([row, column]) - side / 2, np.array([row, column])
        assert low.min() >= 0 and (high + side / 2).max() <= 32
        assert found.owners[i, int(row), int(column)] == j
    np.testing.assert_array_equal(found.owners >= 0, found.images > 0.5)


def test_the_same_numbers_draw_the_same_canvases():
    for a, b in zip(drawn(), drawn(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(drawn().images, drawn(1).images)


def test_objects_that_do_not_fit():
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="canvases of 8 pixels take objects of at"):
        canvases.draw(OBJECTS, 1, rng, size=8, sides=(9,))
    none = np.zeros((0, 8, 8)), np.zeros(0, int)
    with pytest.raises(InputError, match="got 0 images"):
        canvases.draw(none, 1, rng, size=8, sides=(8,))


def test_a_folder_without_fashion_mnist(tmp_path):
    _, given = canvases.prepare(None, fashion=str(tmp_path))
    with pytest.raises(InputError):
        canvases.load_objects(given["fashion"])
