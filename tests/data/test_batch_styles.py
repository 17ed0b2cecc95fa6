"""Standardised styles: what the amplitudes are, and what stays as it was."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.data import batch_styles, standardise_styles
from jaxopt_lab.data.batch_styles import _change_of_spectrum

IMAGES = np.random.default_rng(0).normal(size=(4, 8, 7, 2))
IMAGES[3, :, :, 1] = 0.0
KEY = jax.random.key(0)


@jax.jit
def results(x):
    """All that the tests compare, of one program."""
    block = standardise_styles(x, 2, ratio=0.4)
    whole = standardise_styles(x, 2, ratio=1.0)
    scales = jnp.array([0.5, 3.0, 1.0, 2.0])[:, None, None, None]
    return {
        "block": block,
        "again": standardise_styles(block, 2, ratio=0.4),
        "whole": whole,
        "scaled": standardise_styles(scales * x, 2, ratio=1.0),
        "means": standardise_styles(x, 2, ratio=0.0),
        "still": standardise_styles(x, 2, ratio=0.4, mix=0.0),
        "half": standardise_styles(x, 2, ratio=0.4, mix=0.5),
        "imaginary": jnp.fft.ifft2(
            _change_of_spectrum(x, 2, 0.4, 1.0), axes=(1, 2)
        ).imag,
        "slope": jax.grad(lambda x: jnp.sum(standardise_styles(x, 2) ** 2))(x),
    }


@pytest.fixture(scope="module")
def found():
    return jax.tree.map(np.asarray, results(IMAGES))


def numpy_styles(x, r, half, mix=1.0):
    spectrum = np.fft.fft2(x, axes=(1, 2))
    rows = np.abs(np.fft.fftfreq(8, 1 / 8)) <= half[0]
    columns = np.abs(np.fft.fftfreq(7, 1 / 7)) <= half[1]
    block = (rows[:, None] & columns)[None, :, :, None]
    size = np.abs(spectrum)
    new = np.where(block, (1 - mix) * size + mix * size[r], size)
    back = np.fft.ifft2(new * np.exp(1j * np.angle(spectrum)), axes=(1, 2))
    assert np.abs(back.imag).max() < 1e-12
    return back.real


def test_they_are_numpys(found):
    for name, half, mix in (("block", (2, 1), 1.0), ("half", (2, 1), 0.5)):
        wanted = numpy_styles(IMAGES, 2, half, mix)
        np.testing.assert_allclose(found[name], wanted, atol=1e-12)


def test_the_whole_block_gives_one_amplitude_and_drops_contrast(found):
    size = np.abs(np.fft.fft2(found["whole"], axes=(1, 2)))
    np.testing.assert_allclose(size, np.broadcast_to(size[2], size.shape), atol=1e-12)
    phase = lambda x: np.angle(np.fft.fft2(x[:3], axes=(1, 2)))
    turned = np.exp(1j * phase(found["whole"])) - np.exp(1j * phase(IMAGES))
    np.testing.assert_allclose(turned, 0, atol=1e-10)
    np.testing.assert_allclose(found["scaled"], found["whole"], atol=1e-12)


def test_the_mean_alone_and_what_stays(found):
    centred = lambda x: x - x.mean((1, 2), keepdims=True)
    np.testing.assert_allclose(centred(found["means"]), centred(IMAGES), atol=1e-14)
    means = np.abs(found["means"].mean((1, 2)))
    np.testing.assert_allclose(means, np.broadcast_to(means[2], (4, 2)), atol=1e-14)
    for name in ("block", "whole", "means"):
        np.testing.assert_array_equal(found[name][2], IMAGES[2])
    np.testing.assert_array_equal(found["still"], IMAGES)
    np.testing.assert_allclose(found["again"], found["block"], atol=1e-12)
    assert np.abs(found["imaginary"]).max() < 1e-12
    assert np.isfinite(found["slope"]).all()


def test_two_views_have_styles_of_their_own():
    batch = {"image": (40 * IMAGES[:, :6, :6] + 128).astype(np.uint8)}
    views = jax.jit(batch_styles(ratio=1.0, second="view"))(jax.random.key(1), batch)
    assert views["image"].dtype == np.float32
    sizes = [np.abs(np.fft.fft2(views[n], axes=(1, 2))) for n in ("image", "view")]
    for size in sizes:
        np.testing.assert_allclose(
            size, np.broadcast_to(size[0], size.shape), atol=1e-4
        )
    assert np.abs(sizes[0] - sizes[1]).max() > 0.1
    assert batch_styles(0.0)(KEY, batch) is batch


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: batch_styles(1.5), "mix must lie in"),
        (lambda: batch_styles(ratio=-0.1), "ratio must lie in"),
        (lambda: batch_styles()(KEY, {"x": 1}), "no 'image' to restyle; it has"),
        (
            lambda: batch_styles()(KEY, {"image": np.ones((2, 3))}),
            r"float64 of shape \(2, 3\); accepted: floats of shape \(B, H",
        ),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words):
        make()
