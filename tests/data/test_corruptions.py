"""Corruptions against NumPy and against their nominal statistics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.data import CORRUPTIONS, corrupt, corruption

RNG = np.random.default_rng(0)
X = RNG.uniform(0.3, 0.7, (2, 12, 10, 1))
# Narrow, so that nothing is clipped.
NARROW = {"gaussian_noise": (0.01,) * 5, "shot_noise": (2000.0,) * 5}
DRAWN = ("impulse_noise", "motion_blur")
SMOOTH = ("defocus_blur", "motion_blur", "jpeg")


@pytest.fixture(scope="module")
def found():
    @jax.jit
    def every(key, x):
        return {n: corrupt(key, x, name=n, severity=2) for n in CORRUPTIONS}

    @jax.jit
    def of_many(key, x):
        impulses = corrupt(key, x, name="impulse_noise", severity=2)
        narrow = {
            n: corrupt(key, x, name=n, severity=1, strengths=s)
            for n, s in NARROW.items()
        }
        return {"impulses": impulses, "narrow": narrow}

    key = jax.random.key(0)
    first = every(key, X)
    again, flat = (
        every(jax.random.fold_in(key, 1), X),
        every(key, np.full(X.shape, 0.5)),
    )
    return jax.device_get(
        {
            "every": first,
            "twice": every(key, first["pixelate"])["pixelate"],
            "other": {n: again[n] for n in DRAWN},
            "flat": {n: flat[n] for n in SMOOTH},
            **of_many(key, np.full((4, 40, 50, 1), 0.5)),
        }
    )


def test_values_stay_in_their_range_and_keys_matter(found):
    for name, y in found["every"].items():
        assert y.shape == X.shape and y.dtype == X.dtype, name
        assert y.min() >= 0 and y.max() <= 1 and not np.array_equal(y, X), name
    for name, y in found["other"].items():
        assert not np.array_equal(y, found["every"][name]), name


def test_noise_has_its_nominal_variance(found):
    for name, variance in (("gaussian_noise", 0.01**2), ("shot_noise", 0.5 / 2000)):
        noise = found["narrow"][name] - 0.5
        # 8,000 numbers: the deviation of the variance is 1.6 per cent.
        np.testing.assert_allclose(noise.var(), variance, rtol=0.08, err_msg=name)
        assert abs(noise.mean()) < 5 * (variance / noise.size) ** 0.5
    share = CORRUPTIONS["impulse_noise"][1]
    for value in (0, 1):
        assert abs(np.mean(found["impulses"] == value) - share / 2) < 0.01


def test_contrast_brightness_and_blocks(found):
    every, close = found["every"], {"rtol": 1e-12}
    mean = X.mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(every["contrast"], mean + 0.3 * (X - mean), **close)
    np.testing.assert_allclose(every["brightness"], np.minimum(X + 0.2, 1), **close)
    wanted = np.zeros_like(X)
    for r in range(0, 12, 3):
        for c in range(0, 10, 3):
            block = np.s_[:, r : r + 3, c : c + 3]
            wanted[block] = X[block].mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(every["pixelate"], wanted, **close)
    np.testing.assert_allclose(found["twice"], wanted, **close)


def test_blurs_keep_constants_and_a_disc_is_its_mean(found):
    every, flat = found["every"], found["flat"]
    for name in ("defocus_blur", "motion_blur"):
        np.testing.assert_allclose(flat[name], 0.5, rtol=1e-6, err_msg=name)
        assert every[name].var() < X.var()
    far = np.hypot(*np.mgrid[-2:3, -2:3])
    disc = np.clip(2 - far, 0, 1)
    wanted = np.sum(X[0, 3:8, 2:7, 0] * disc) / disc.sum()
    np.testing.assert_allclose(every["defocus_blur"][0, 5, 4, 0], wanted, rtol=1e-12)


def test_jpeg_rounds_the_cosines_of_blocks(found):
    k, place = np.arange(8)[:, None], np.arange(8)[None]
    basis = np.cos(np.pi * k * (2 * place + 1) / 16) / 2
    basis[0] /= 2**0.5
    np.testing.assert_allclose(basis @ basis.T, np.eye(8), atol=1e-14)
    cosines = lambda block: basis @ (255 * block - 128) @ basis.T
    before = cosines(X[0, :8, :8, 0])
    after = cosines(found["every"]["jpeg"][0, :8, :8, 0])
    # Steps of the first row at quality 18.
    scale = 5000 / 18
    steps = np.floor((np.array([16, 11, 10, 16, 24, 40, 51, 61]) * scale + 50) / 100)
    wanted = np.round(before[0] / steps) * steps
    np.testing.assert_allclose(after[0], wanted, atol=1e-9)
    assert np.abs(found["flat"]["jpeg"] - 0.5).max() < steps[0] / 16 / 255


def test_severity_zero_changes_nothing_and_bad_arguments_are_refused():
    key = jax.random.key(0)
    for name in CORRUPTIONS:
        assert corrupt(key, X, name=name, severity=0) is X
    with pytest.raises(InputError, match="name"):
        corrupt(key, X, name="snow", severity=1)
    with pytest.raises(InputError, match="severity"):
        corruption("jpeg", severity=6)
    with pytest.raises(InputError, match="strengths must be five numbers"):
        corrupt(key, X, name="jpeg", severity=1, strengths=(1.0,))
    with pytest.raises(InputError, match=r"real floating numbers \(B, H, W, C\)"):
        corrupt(key, jnp.zeros((2, 3, 3, 1), jnp.uint8), name="jpeg", severity=1)
    with pytest.raises(InputError, match="no 'image' to corrupt"):
        corruption()(key, {"label": X})
