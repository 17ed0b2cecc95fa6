"""Patches of photographs, their comparison, and packages that are missing."""

import sys

import numpy as np
import pytest

from experiments.applications.photographs import (
    halves,
    patches,
    photographs,
    pooled_psnr,
    psnr,
    stereo_photograph,
)
from jaxopt_lab.core.errors import InputError


def test_patches_of_both_parts_share_no_pixel():
    images = [np.arange(200.0).reshape(10, 20), 200 + np.arange(200.0).reshape(10, 20)]
    left, right = zip(*map(halves, images), strict=True)
    rng = np.random.default_rng(0)
    found = [patches(rng, list(part), 4, 50) for part in (left, right)]
    assert found[0].shape == (50, 4, 4)
    assert not set(found[0].ravel()) & set(found[1].ravel())
    # In turn from both images, each a square of neighbours.
    assert np.all(found[0][::2] < 200) and np.all(found[0][1::2] >= 200)
    np.testing.assert_array_equal(np.diff(found[0], axis=2), 1)
    np.testing.assert_array_equal(np.diff(found[0], axis=1), 20)


def test_noise_ratio_in_decibels():
    a = np.zeros((2, 3, 3))
    gaps = np.array([0.1, 0.01])[:, None, None]
    np.testing.assert_allclose(psnr(a, a + gaps), [20, 40])
    assert np.all(np.isinf(psnr(a, a)))
    # Together: one image that is matched exactly counts half of the pixels.
    np.testing.assert_allclose(pooled_psnr(a, a + gaps * [[[1]], [[0]]]), 23.0103)


@pytest.mark.parametrize(
    "module, load",
    [("skimage.data", stereo_photograph), ("sklearn.datasets", photographs)],
)
def test_a_missing_package_is_one_line(module, load, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=r"install it with pip install") as told:
        load()
    assert "\n" not in str(told.value) and "[applications]" in str(told.value)
