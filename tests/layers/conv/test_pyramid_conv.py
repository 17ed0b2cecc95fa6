"""Pyramid convolution against sums over pixels in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import convolve_pyramid, pyramid_conv, upsample_aligned

RNG = np.random.default_rng(0)
LEVELS = tuple(RNG.normal(size=(2, *size, 2)) for size in ((5, 6), (3, 3), (2, 2)))
OTHERS = tuple(RNG.normal(size=level.shape) for level in LEVELS)
KERNELS = RNG.normal(size=(3, 3, 3, 2, 3))
BIASES = RNG.normal(size=(3, 3))
NAMES = ("coarser", "own", "finer")
PARAMS = dict(zip(NAMES, KERNELS, strict=True)) | {
    f"{name}_bias": bias for name, bias in zip(NAMES, BIASES, strict=True)
}


def convolved(x, kernel, bias, stride):
    rows, columns = (-(-n // stride) for n in x.shape[1:3])
    x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    y = np.zeros((x.shape[0], rows, columns, kernel.shape[-1]))
    for i in range(rows):
        for j in range(columns):
            window = x[:, i * stride : i * stride + 3, j * stride : j * stride + 3]
            y[:, i, j] = np.einsum("bhwc,hwco->bo", window, kernel) + bias
    return y


def upsampled(x, size):
    for axis, n in zip((1, 2), size, strict=True):
        m = x.shape[axis]
        at = np.linspace(0, m - 1, n)
        along = lambda row, at=at, m=m: np.interp(at, np.arange(m), row)
        x = np.apply_along_axis(along, axis, x)
    return x


def plainly(levels):
    found = []
    for i, x in enumerate(levels):
        y = convolved(x, KERNELS[1], BIASES[1], 1)
        if i:
            y = y + convolved(levels[i - 1], KERNELS[2], BIASES[2], 2)
        if i + 1 < len(levels):
            coarse = convolved(levels[i + 1], KERNELS[0], BIASES[0], 1)
            y = y + upsampled(coarse, y.shape[1:3])
        found.append(y)
    return found


@jax.jit
def run(levels, others, mask):
    layer = pyramid_conv(2, out=3)
    apply = lambda x, m=None: layer.apply(PARAMS, {}, x, train=True, mask=m)[0]
    mixed = jax.tree.map(lambda a, b: 2 * a - 3 * b, levels, others)
    without = lambda x: convolve_pyramid(x, KERNELS)
    cut = jax.tree.map(lambda a: jnp.concatenate([a[:1], a[1:] + jnp.nan]), levels)
    return {
        "plain": apply(levels),
        "linear": (without(mixed), without(levels), without(others)),
        "masked": apply(cut, mask),
    }


def test_it_is_the_sum_over_own_finer_and_coarser_level():
    found = run(LEVELS, OTHERS, np.array([1, 0]))
    wanted = plainly(LEVELS)
    for y, w, masked in zip(found["plain"], wanted, found["masked"], strict=True):
        np.testing.assert_allclose(y, w, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(masked[0], w[0], rtol=1e-12, atol=1e-12)
        assert not np.any(masked[1])
    # Superposition, before any norm.
    for mixed, a, b in zip(*found["linear"], strict=True):
        np.testing.assert_allclose(mixed, 2 * a - 3 * b, rtol=0, atol=1e-12)


def test_aligned_corners_reproduce_ramps():
    for m, n in ((3, 7), (4, 4), (2, 5), (5, 3)):
        i, j = np.meshgrid(np.linspace(0, 1, m), np.linspace(0, 1, m + 1))
        x = (2 * i - 3 * j + 1)[None, ..., None]
        i, j = np.meshgrid(np.linspace(0, 1, n), np.linspace(0, 1, n + 1))
        y = jax.jit(upsample_aligned, static_argnums=1)(x, (n + 1, n))
        np.testing.assert_allclose(y[0, ..., 0], 2 * i - 3 * j + 1, atol=1e-14)
    assert upsample_aligned(np.ones((1, 1, 1, 1)), (2, 3)).tolist() == [
        [[[1.0]] * 3] * 2
    ]


@pytest.mark.parametrize(
    "levels, words",
    [
        (LEVELS[0], r"takes a tuple of levels \(B, ..., 2\); got "),
        ((), r"takes a tuple of levels"),
        (LEVELS[::-1], r"half the height and width .* got \(3, 3\) behind \(2, 2\)"),
        ((LEVELS[0], LEVELS[1][:1]), "must be of one batch; got batches of 2, 1"),
        ((LEVELS[0][0],), r"must be images \(B, height, width, C\); got \(5, 6, 2\)"),
    ],
)
def test_levels_that_do_not_fit(levels, words):
    with pytest.raises(InputError, match=words):
        pyramid_conv(2, out=3).apply(PARAMS, {}, levels, train=True)


def test_masks_and_kernels_that_do_not_fit():
    layer, mask = pyramid_conv(2, out=3), np.ones(2)
    with pytest.raises(InputError, match="each of the 3 levels; got 2 arrays"):
        layer.apply(PARAMS, {}, LEVELS, train=True, mask=(mask, mask))
    with pytest.raises(InputError, match="three kernels .* got 2 and 3"):
        convolve_pyramid(LEVELS, KERNELS[:2])
    with pytest.raises(InputError, match="pass it a key"):
        layer.init()
