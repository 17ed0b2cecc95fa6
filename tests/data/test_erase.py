"""Random erasing: one rectangle in an image, of the sizes that are asked for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.data import erase

SHAPE = (600, 20, 12, 2)
IMAGES = np.random.default_rng(0).integers(1, 255, SHAPE).astype(np.uint8)


def test_one_rectangle_of_the_right_sizes_everywhere():
    found = np.asarray(jax.jit(erase())(jax.random.key(0), {"image": IMAGES})["image"])
    assert found.dtype == np.uint8
    gone = (found == 0).all(-1)
    assert (found[~gone] == IMAGES[~gone]).all()
    changed = gone.any((1, 2))
    assert 0.43 < changed.mean() < 0.57
    areas = []
    for mask in gone[changed]:
        rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert mask.sum() == height * width  # it is a whole rectangle
        areas.append(height * width / (20 * 12))
    assert min(areas) < 0.06 and 0.3 < max(areas) <= 0.45
    assert abs(np.mean(areas) - 0.2) < 0.03
    # Every pixel is reached.
    assert gone.any(0).all()


def test_what_is_written_and_probability_0():
    batch = {"image": jnp.ones((3, 4, 4, 1), jnp.bfloat16), "label": jnp.arange(3)}
    found = erase(1.0, value=-2.0)(jax.random.key(1), batch)
    assert found["image"].dtype == jnp.bfloat16
    assert set(np.unique(found["image"]).tolist()) == {-2.0, 1.0}
    np.testing.assert_array_equal(found["label"], batch["label"])
    assert erase(0.0)(jax.random.key(1), batch) is batch


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: erase(1.5), "probability must lie in"),
        (lambda: erase(smallest=0.5), "smallest=0.5 must not exceed largest=0.4"),
        (lambda: erase(ratio=0.0), "ratio must lie in"),
        (lambda: erase()(jax.random.key(0), {"x": 1}), "no 'image' to erase; it has"),
        (
            lambda: erase()(jax.random.key(0), {"image": np.ones((2, 3))}),
            r"shape \(2, 3\); accepted: \(B, H, W",
        ),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words):
        make()
