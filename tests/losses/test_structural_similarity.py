"""Structural similarity against loops over the windows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.losses import ssim, ssim_loss

RNG = np.random.default_rng(0)
A, B = RNG.uniform(size=(2, 3, 9, 8, 2))
WINDOW, SD = 5, 1.2
found = jax.jit(
    lambda a, b, span=1.0: ssim(a, b, window=WINDOW, sd=SD, data_range=span)
)


def loops(a, b, span=1.0):
    apart = np.arange(WINDOW) - WINDOW // 2
    weights = np.exp(-(apart[:, None] ** 2 + apart**2) / (2 * SD**2))
    weights /= weights.sum()
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    values = np.zeros(a.shape[0])
    for n, image in enumerate(a):
        each = []
        for i, j, c in np.ndindex(9 - WINDOW + 1, 8 - WINDOW + 1, image.shape[-1]):
            x, y = (z[n, i : i + WINDOW, j : j + WINDOW, c] for z in (a, b))
            p, q = np.sum(weights * x), np.sum(weights * y)
            over = np.sum(weights * (x - p) * (y - q))
            below = np.sum(weights * ((x - p) ** 2 + (y - q) ** 2))
            each.append(
                (2 * p * q + c1) / (p * p + q * q + c1) * (2 * over + c2) / (below + c2)
            )
        values[n] = np.mean(each)
    return values


@pytest.mark.parametrize("size, offset", [(1.0, 0.0), (255.0, 0.0), (1.0, 50.0)])
def test_loops_over_windows(size, offset):
    a, b = size * A + offset, size * (0.7 * A + 0.3 * B) + offset
    np.testing.assert_allclose(found(a, b, size), loops(a, b, size), rtol=1e-12)


def test_equal_images_symmetry_and_mirrors():
    value = found(A, B)
    np.testing.assert_array_equal(found(A, A), 1)
    np.testing.assert_allclose(found(B, A), value, rtol=1e-12)
    assert np.all(value < 1)
    for axis in (1, 2):
        mirrored = found(np.flip(A, axis), np.flip(B, axis))
        np.testing.assert_allclose(mirrored, value, rtol=1e-12)
    # Channels count as images, and a plane needs no axis of channels.
    planes = [found(A[..., c], B[..., c]) for c in range(2)]
    np.testing.assert_allclose(np.mean(planes, axis=0), value, rtol=1e-12)


def test_images_that_are_flat_or_huge_and_those_that_are_dropped():
    flat = np.full_like(A[0], 0.3)
    huge = 1e30 * np.sign(A[0] - 0.5)
    images = np.stack([flat, 1e30 * flat, huge, np.nan + A[0]]).astype(np.float32)
    others = np.stack([flat + 0.2, 1e30 * flat, -huge, B[0]]).astype(np.float32)
    where = jnp.array([1, 1, 1, 0])

    @jax.jit
    def run(a, b):
        loss = lambda a: ssim_loss(a, b, window=WINDOW, where=where)
        return loss(a), jax.grad(lambda a: jnp.sum(loss(a)))(a)

    loss, slope = run(images, others)
    means = (2 * 0.3 * 0.5 + 1e-4) / (0.3**2 + 0.5**2 + 1e-4)
    np.testing.assert_allclose(loss[:2], [1 - means, 0], atol=1e-6)
    assert 0 < loss[2] <= 2 and loss[3] == 0
    assert np.all(np.isfinite(slope)) and not np.any(slope[3])


@pytest.mark.parametrize(
    "change, words",
    [
        (
            {"window": 9},
            "images of 9 by 8 have no window of 9 by 9; accepted",
        ),
        ({"b": B[:2]}, r"b must have shape \(3, 9, 8, 2\); got \(2, 9, 8, 2\)"),
        ({"a": np.ones((3, 9, 8), np.uint8)}, "a must be real floating numbers with 3"),
        ({"where": np.ones(2)}, r"where must have shape \(3,\)"),
        ({"sd": 0.0}, "sd must be above 0"),
        ({"data_range": -1.0}, "data_range must be above 0"),
    ],
)
def test_what_it_refuses(change, words):
    with pytest.raises(InputError, match=words) as told:
        ssim(**{"a": A, "b": B, "window": 5, **change})
    assert "\n" not in str(told.value)
