"""Deblurring: kernels of shake, noise of low light."""

import dataclasses

import numpy as np
import pytest

from experiments.applications.deblurring import APPLICATION
from experiments.applications.low_light import motion_kernel, pairs
from experiments.applications.photographs import psnr


@pytest.mark.full
def test_smoke(smoke):
    tiny = dataclasses.replace(
        APPLICATION.sizes["quick"], seeds=1, steps=1, batch=2, train=4, test=2, size=20
    )
    sizes = smoke(APPLICATION, tiny)["measured"]["sizes"]
    assert sizes["Wiener"] == 1 < sizes["both"]


def test_kernels_of_shake_are_paths_in_the_middle():
    for seed in range(20):
        kernel = motion_kernel(np.random.default_rng(seed), 9)
        assert kernel.shape == (9, 9) and np.all(kernel >= 0)
        np.testing.assert_allclose(kernel.sum(), 1)
        # A path, not a spot and not a blur of the whole square.
        assert 3 <= np.sum(kernel > 0) <= 60


def test_blur_is_a_convolution_and_noise_is_that_of_photons():
    rng, images = np.random.default_rng(0), [np.random.default_rng(1).random((40, 40))]
    options = {"size": 16, "blur": 5, "read": 0.0}
    clean = pairs(np.random.default_rng(2), images, 3, photons=1e12, **options)
    np.testing.assert_allclose(clean.seen, clean.blurred, atol=1e-5)
    dark = [0.5 * np.ones((40, 40))]
    noisy = pairs(rng, dark, 30, photons=200.0, **options)
    np.testing.assert_allclose(noisy.blurred, 0.5, atol=1e-6)
    np.testing.assert_allclose(noisy.seen.var(), 0.5 / 200, rtol=0.1)
    assert np.all(psnr(noisy.seen, noisy.sharp) > 20)
