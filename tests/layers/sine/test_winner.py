"""WINNER's centroids, scales and noise against NumPy and their exact properties."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import (
    WinnerScales,
    siren,
    spectral_centroid,
    winner,
    winner_init,
    winner_scales,
)

RNG = np.random.default_rng(0)
KEY = jax.random.key(2)
UNKNOWN: Any = "x"


def by_sums(y):
    """The centroid of one signal by a sum over samples for each frequency."""
    n = len(y)
    freqs = np.arange(n // 2 + 1) / n
    waves = np.exp(-2j * np.pi * np.outer(freqs, np.arange(n)))
    sizes = np.abs(waves @ y)
    return 2 * np.sum(freqs * sizes) / np.sum(sizes)


KINDS = ("flat", "rows", "radial")
COUNT = np.arange(64)
IMAGE = RNG.normal(size=(6, 9, 3)) + RNG.normal(size=3)
LINE = RNG.normal(size=(11, 2))
WAVES = {k: np.cos(2 * np.pi * k * COUNT / 64) for k in (1, 7, 32)}
PLANE = np.cos(2 * np.pi * (3 * COUNT[:, None] + 4 * COUNT) / 64)[..., None]
NOISE, STILL = RNG.normal(size=4096), np.full((8, 2), 2.5)


@functools.cache
def centroids():
    """Everything that is compared, in one program."""

    @jax.jit
    def run(image, line, waves, plane, noise, still):
        return {
            "image": [spectral_centroid(image, spectrum=s) for s in KINDS],
            "line": [spectral_centroid(line, spectrum=s) for s in KINDS],
            "waves": jax.vmap(spectral_centroid)(waves),
            "scaled": jax.vmap(spectral_centroid)(-3e4 * waves),
            "plane": spectral_centroid(plane, spectrum="radial"),
            "noise": spectral_centroid(noise),
            "still": [spectral_centroid(still), spectral_centroid(0 * still)],
            "slope": jax.grad(spectral_centroid)(0 * still),
        }

    waves = np.stack(list(WAVES.values()))
    return jax.device_get(run(IMAGE, LINE, waves, PLANE, NOISE, STILL))


def test_centroids_are_those_of_the_sums():
    found = centroids()
    flat = np.mean([by_sums(IMAGE[..., c].ravel()) for c in range(3)])
    rows = np.mean([by_sums(r) for c in range(3) for r in IMAGE[..., c]])
    np.testing.assert_allclose(found["image"][:2], [flat, rows], rtol=1e-12)
    # Along one axis the three spectra are one.
    one = np.mean([by_sums(LINE[:, c]) for c in range(2)])
    np.testing.assert_allclose(found["line"], [one] * 3, rtol=1e-12)


def test_centroids_of_known_signals():
    found = centroids()
    want = [2 * k / 64 for k in WAVES]
    np.testing.assert_allclose(found["waves"], want, rtol=1e-12)
    np.testing.assert_allclose(found["scaled"], want, rtol=1e-12)
    # A plane wave: the length of its frequency over that of the corner.
    np.testing.assert_allclose(found["plane"], 5 / 64 * np.sqrt(2), rtol=1e-12)
    assert abs(found["noise"] - 0.5) < 0.02
    assert found["still"] == [0, 0]
    assert np.all(np.isfinite(found["slope"]))


def test_scales_are_the_formulas_and_grow():
    at = np.linspace(0, 1, 11)
    kinds = {1: (3500, 7, 3), 2: (50, 5, 0.4)}

    @jax.jit
    def run(at):
        theirs = winner_scales(3 * at, divided_by=3)
        return {a: winner_scales(at, axes=a) for a in kinds}, theirs

    found, theirs = jax.device_get(run(at))
    for axes, (top, rate, slope) in kinds.items():
        scales = found[axes]
        np.testing.assert_allclose(scales.first, top * (1 - np.exp(-rate * at)))
        np.testing.assert_allclose(scales.second, slope * at)
        assert np.all(np.diff(scales.first) > 0) and scales.first[-1] < top
    np.testing.assert_allclose(theirs, found[2])


def test_noise_moves_two_kernels_alone_and_none_moves_nothing():
    layer = siren(2, hidden=5, depth=3, out=1, param_dtype=jnp.float64)

    @jax.jit
    def run(key, scales):
        none = WinnerScales(*(0 * s for s in scales))
        params = layer.init(key)[0]
        noisy = winner_init(params, KEY, scales=scales, omega=20.0)
        still = winner_init(params, KEY, scales=none)
        draw = lambda i, w: jax.random.normal(
            jax.random.fold_in(KEY, i), w.shape, w.dtype
        )
        noise = [draw(i, params[f"kernel_{i}"]) for i in range(2)]
        return params, noisy, still, noise

    scales = WinnerScales(jnp.array(40.0), jnp.array(0.3))
    params, noisy, still, noise = jax.device_get(run(jax.random.key(0), scales))
    moved = {n for n in params if np.any(params[n] != noisy[n])}
    assert moved == {"kernel_0", "kernel_1"}
    for i, s in enumerate((40 / 30, 0.3 / 20)):
        want = params[f"kernel_{i}"] + s * noise[i]
        np.testing.assert_allclose(noisy[f"kernel_{i}"], want, rtol=1e-14)
    for name, leaf in params.items():
        np.testing.assert_array_equal(still[name], leaf)


def test_variances_are_those_of_the_formulas():
    draw = jax.jit(
        lambda key: (
            winner(key, (4, 20000), jnp.float64, first=True, noise=20.0),
            winner(key, (50, 2000), jnp.float64, omega=30.0),
            winner(key, (50, 2000), jnp.float64, omega=30.0, noise=0.0),
        )
    )
    first, hidden, same = map(np.asarray, draw(KEY))
    np.testing.assert_allclose(first.var(), 1 / 48 + (20 / 30) ** 2, rtol=0.03)
    np.testing.assert_allclose(hidden.var(), 2 / 50 / 30**2, rtol=0.03)
    assert np.abs(hidden).max() <= np.sqrt(6 / 50) / 30
    np.testing.assert_array_equal(hidden, same)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: spectral_centroid(jnp.ones(3, jnp.complex64)), "takes real signals"),
        (lambda: spectral_centroid(jnp.ones((0, 2))), "at least one sample"),
        (
            lambda: spectral_centroid(jnp.ones(3), spectrum=UNKNOWN),
            "flat, radial, rows",
        ),
        (lambda: winner_scales(0.5, axes=3), "axes must be 1 or 2; got 3"),
        (lambda: winner(KEY, (3,)), "inputs, outputs"),
        (lambda: winner(KEY, (0, 3)), "inputs, outputs"),
        (lambda: winner(KEY, (3, 3), jnp.int32), "real floating"),
        (lambda: winner(KEY, (3, 3), noise=-1.0), "noise"),
        (
            lambda: winner_init({"kernel_0": KEY}, KEY, scales=winner_scales(0.0)),
            "params must hold kernel_0 and kernel_1",
        ),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(InputError, match=words) as error:
        call()
    assert "\n" not in str(error.value)
