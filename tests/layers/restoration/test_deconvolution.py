"""Wiener deconvolution: inverses, limits, least squares."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import median_filter

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import learned_wiener, psf_to_otf, wiener_deconvolution
from jaxopt_lab.layers.restoration.learned_wiener import noise_share

RNG = np.random.default_rng(0)
X: Any = RNG.normal(size=(2, 8, 7, 3))
KERNEL: Any = RNG.uniform(size=(3, 4))
LARGE: Any = np.ones((9, 9))
UNKNOWN: Any = "zero"
UNIT = KERNEL / KERNEL.sum()
wrapped = jax.jit(lambda y, k, r: wiener_deconvolution(y, k, r, padding="wrap"))

continued = jax.jit(wiener_deconvolution)


def blurred(x, kernel):
    """Circular convolution, by loops over the kernel."""
    y = np.zeros_like(x)
    for i, j in np.ndindex(kernel.shape):
        by = (i - kernel.shape[0] // 2, j - kernel.shape[1] // 2)
        y += kernel[i, j] * np.roll(x, by, axis=(1, 2))
    return y


def correlated(y, kernel):
    x = np.zeros_like(y)
    for i, j in np.ndindex(kernel.shape):
        by = (kernel.shape[0] // 2 - i, kernel.shape[1] // 2 - j)
        x += kernel[i, j] * np.roll(y, by, axis=(1, 2))
    return x


def test_transfer_function_blurs_without_moving_and_keeps_the_energy():
    otf = np.asarray(psf_to_otf(KERNEL, (8, 7)))[None, :, :, None]
    found = np.fft.ifft2(otf * np.fft.fft2(X, axes=(1, 2)), axes=(1, 2))
    np.testing.assert_allclose(found.real, blurred(X, KERNEL), rtol=1e-12, atol=1e-13)
    energy = np.sum(np.abs(otf) ** 2) / 56
    np.testing.assert_allclose(energy, np.sum(KERNEL**2), rtol=1e-12)


def test_the_blur_is_undone_and_an_impulse_changes_nothing():
    y = blurred(X, UNIT)
    np.testing.assert_allclose(wrapped(y, KERNEL, 0.0), X, rtol=1e-9, atol=1e-9)
    impulse = np.zeros((3, 3))
    impulse[1, 1] = 2.0
    for same in (wrapped(X, impulse, 0.0), continued(X, impulse, 0.0)):
        np.testing.assert_allclose(same, X, rtol=1e-12, atol=1e-12)


def test_ridge_least_squares_its_limit_and_shifts():
    images = np.eye(56).reshape(56, 8, 7, 1)
    blur = blurred(images, UNIT).reshape(56, 56).T
    ridge = np.linalg.solve(blur.T @ blur + 0.3 * np.eye(56), blur.T)
    wanted = np.einsum("ij,bjc->bic", ridge, X.reshape(2, 56, 3)).reshape(X.shape)
    found = wrapped(X, KERNEL, 0.3)
    np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)
    moved = wrapped(np.roll(X, (3, 2), axis=(1, 2)), KERNEL, 0.3)
    np.testing.assert_allclose(np.roll(found, (3, 2), (1, 2)), moved, atol=1e-12)
    large = 1e9 * np.asarray(wrapped(X, KERNEL, 1e9))
    np.testing.assert_allclose(large, correlated(X, UNIT), rtol=1e-7, atol=1e-8)


def test_ratios_and_kernels_of_each_image():
    ratio, kernels = RNG.uniform(0.1, 1, (2, 3)), np.stack([KERNEL, KERNEL[::-1]])
    found = continued(X, kernels, ratio)
    for b, c in np.ndindex(2, 3):
        own = continued(X[b : b + 1, :, :, c : c + 1], kernels[b], ratio[b, c])
        np.testing.assert_allclose(found[b, ..., c], own[0, ..., 0], atol=1e-12)


def test_derivatives_are_finite_where_a_blur_removes_frequencies():
    box, image = np.ones((4, 4)), X[:, :4, :4]

    @jax.jit
    def run(x, k, r):
        total = lambda *a: jnp.sum(jnp.sin(wrapped(*a)))
        steps = [np.cos(np.arange(a.size)).reshape(a.shape) for a in (x, k, r)]
        at = lambda h: total(
            *(a + h * s for a, s in zip((x, k, r), steps, strict=True))
        )
        slopes = jax.grad(total, (0, 1, 2))(x, k, r)
        along = sum(jnp.sum(g * s) for g, s in zip(slopes, steps, strict=True))
        return along, (at(1e-5) - at(-1e-5)) / 2e-5, slopes

    along, measured, _ = run(image, np.pad(KERNEL, ((1, 0), (0, 0))), 0.3 * np.ones(3))
    np.testing.assert_allclose(along, measured, rtol=1e-7)
    for kernel in (box, 0 * box):
        slopes = run(image, kernel, np.zeros(3))[2]
        assert all(np.all(np.isfinite(s)) for s in slopes)


def test_share_of_noise_is_that_of_the_median_filter():
    rest = X - median_filter(X, size=(1, 3, 3, 1), mode="nearest")
    wanted = np.var(rest, axis=(1, 2)) / np.var(X, axis=(1, 2))
    np.testing.assert_allclose(jax.jit(noise_share)(X), wanted, rtol=1e-12)
    share = jax.jit(jax.value_and_grad(lambda x: jnp.sum(noise_share(x))))
    assert not any(np.any(a) for a in share(np.ones((1, 4, 4, 2))))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: psf_to_otf(LARGE, (9, 8)), "does not fit images of 9 by 8"),
        (lambda: wiener_deconvolution(X, KERNEL, -1.0), "noise_ratio must be at least"),
        (lambda: wiener_deconvolution(X[0], KERNEL, 0.0), "images must be"),
        (lambda: wiener_deconvolution(X, KERNEL > 0, 0.0), "kernel must be real"),
        (
            lambda: wiener_deconvolution(X, LARGE, 0.0, padding="wrap"),
            "does not fit",
        ),
        (
            lambda: wiener_deconvolution(X, KERNEL, 0.0, padding=UNKNOWN),
            "unknown padding 'zero'",
        ),
        (
            lambda: learned_wiener(3).apply({}, {}, X, train=True),
            "takes images .* and kernels",
        ),
        (
            lambda: learned_wiener(3).apply(
                {}, {}, (X, X[..., 0]), train=True, mask=np.ones((2, 8))
            ),
            "takes a mask of examples",
        ),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(InputError, match=words) as told:
        call()
    assert "\n" not in str(told.value)
