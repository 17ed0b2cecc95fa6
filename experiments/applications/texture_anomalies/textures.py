"""Textures, crops of them with anomalies, and the features of their tokens."""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

import numpy as np

from jaxopt_lab.core import errors
from jaxopt_lab.core.errors import InputError

SIDE, PATCH = 64, 8  # pixels of a crop and of a token
GRID = SIDE // PATCH
NAMES = ("brick", "grass", "gravel")
KINDS = ("patch", "scratch", "swap")
SOURCES = ("synthetic", "photographs")
OPTIONS = {"textures": "synthetic, drawn here; or photographs, those of scikit-image"}


def prepare(settings: Any, textures: str = "synthetic") -> tuple[Any, dict[str, Any]]:
    """The options of the command, read; see ``Experiment``."""
    if textures not in SOURCES:
        raise errors.unknown("textures", textures, SOURCES)
    return settings, {"textures": textures}


def load_textures(source: str) -> dict[str, np.ndarray]:
    """Three textures of 256 by 512 pixels, values in 0 to 1.

    Args:
      source: of ``SOURCES``.

    Returns:
      Textures by name.

    Raises:
      InputError: photographs without scikit-image.
    """
    if source == "synthetic":
        return {name: _drawn(name) for name in NAMES}
    try:
        data = importlib.import_module("skimage.data")
    except ImportError:
        raise InputError(
            "textures=photographs needs scikit-image: "
            'pip install "jaxopt-lab[applications]"'
        ) from None
    return {name: getattr(data, name)()[:256] / 255 for name in NAMES}


def _drawn(name: str, height: int = 256, width: int = 512) -> np.ndarray:
    """A texture from sums of waves and nearest points; the same one every time."""
    rng = np.random.default_rng(NAMES.index(name))
    row, column = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    noise = rng.normal(size=(height, width))
    if name == "brick":
        course = row // 16
        across = (column + 16 * (course % 2)) % 32
        mortar = (row % 16 < 3) | (across < 3)
        tone = rng.uniform(0.5, 0.8, (height // 16 + 1, width // 32 + 2))
        brick = tone[course, (column + 16 * (course % 2)) // 32]
        x = np.where(mortar, 0.25, brick) + 0.06 * noise
    elif name == "grass":
        # Noise that is smooth along the blades.
        fy, fx = np.meshgrid(
            np.fft.fftfreq(height), np.fft.fftfreq(width), indexing="ij"
        )
        keep = np.exp(-((fy / 0.05) ** 2) - (fx / 0.25) ** 2) * (
            np.hypot(fx, fy) > 0.03
        )
        x = np.fft.ifft2(np.fft.fft2(noise) * keep).real
        x = 0.5 + 0.18 * x / x.std()
    else:
        stones = rng.uniform(0, 1, (600, 2)) * (height, width)
        far = np.full((height, width), np.inf)
        tone = np.zeros((height, width))
        shades = rng.uniform(0.4, 0.9, len(stones))
        for place, shade in zip(stones, shades, strict=True):
            d = np.hypot(row - place[0], column - place[1])
            tone, far = np.where(d < far, shade, tone), np.minimum(d, far)
        x = tone * np.exp(-((far / 12) ** 2)) + 0.05 * noise
    return np.clip(x, 0, 1)


class Crops(NamedTuple):
    """Crops of a texture.

    Attributes:
      images: ``(n, side, side)``.
      wrong: pixels of the anomaly.
      kinds: number of its kind.
    """

    images: np.ndarray
    wrong: np.ndarray
    kinds: np.ndarray


def crop(texture: np.ndarray, rng: np.random.Generator, count: int) -> np.ndarray:
    """Crops at random places of a texture."""
    rows = rng.integers(0, texture.shape[0] - SIDE + 1, count)
    columns = rng.integers(0, texture.shape[1] - SIDE + 1, count)
    pairs = zip(rows, columns, strict=True)
    return np.stack([texture[r : r + SIDE, c : c + SIDE] for r, c in pairs])


def with_anomalies(
    texture: np.ndarray, other: np.ndarray, rng: np.random.Generator, count: int
) -> Crops:
    """Crops with a patch of another texture, a scratch, or two swapped patches.

    Args:
      texture: of the crops.
      other: of the patches.
      rng: of all draws.
      count: number of crops; the kinds take turns.

    Returns:
      The crops.
    """
    images, wrong = crop(texture, rng, count), np.zeros((count, SIDE, SIDE), bool)
    kinds = np.arange(count) % len(KINDS)
    row, column = np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij")
    for i, kind in enumerate(kinds):
        if KINDS[kind] == "patch":
            n = int(rng.integers(12, 25))
            r, c = rng.integers(0, SIDE - n + 1, 2)
            wrong[i, r : r + n, c : c + n] = True
            images[i][wrong[i]] = crop(other, rng, 1)[0][wrong[i]]
        elif KINDS[kind] == "scratch":
            angle, centre = rng.uniform(0, np.pi), rng.uniform(20, 44, 2)
            dy, dx = row - centre[0], column - centre[1]
            across = np.abs(dy * np.cos(angle) - dx * np.sin(angle))
            along = np.abs(dy * np.sin(angle) + dx * np.cos(angle))
            wrong[i] = (across < 1.5) & (along < rng.uniform(10, 24))
            images[i][wrong[i]] = rng.choice([0.0, 1.0])
        else:
            n = 16
            places = rng.permutation((SIDE // n) ** 2)[:2]
            a, b = (
                np.s_[i, p // 4 * n : p // 4 * n + n, p % 4 * n : p % 4 * n + n]
                for p in places
            )
            one, two = images[a].T.copy(), images[b].T.copy()
            images[a], images[b] = two, one  # turned, too: else nothing is wrong
            wrong[a] = wrong[b] = True
    return Crops(images, wrong, kinds)


def responses(images: np.ndarray) -> np.ndarray:
    """Logarithms of a fixed filter bank on every token: the cosines of its patch.

    Args:
      images: ``(n, side, side)``.

    Returns:
      ``(n, tokens, patch ** 2)``.
    """
    k, place = np.arange(PATCH)[:, None], np.arange(PATCH)[None]
    basis = np.cos(np.pi * k * (2 * place + 1) / (2 * PATCH)) * (2 / PATCH) ** 0.5
    basis[0] /= 2**0.5
    patches = images.reshape(-1, GRID, PATCH, GRID, PATCH)
    found = np.einsum("kp,nrpcq,lq->nrckl", basis, patches, basis, optimize=True)
    return np.log(0.05 + np.abs(found)).reshape(len(images), GRID**2, -1)


class Features(NamedTuple):
    """Principal components of responses, scaled to the variance 1."""

    mean: np.ndarray
    axes: np.ndarray

    def of(self, images: np.ndarray) -> np.ndarray:
        """Features of tokens, ``(n, tokens, components)``."""
        return ((responses(images) - self.mean) @ self.axes).astype(np.float32)


def fit_features(images: np.ndarray, components: int) -> Features:
    """The components of crops without anomalies.

    Args:
      images: ``(n, side, side)``.
      components: how many.

    Returns:
      The features.
    """
    rows = responses(images).reshape(-1, PATCH**2)
    mean = rows.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov((rows - mean).T))
    order = np.argsort(values)[::-1][:components]
    return Features(mean, vectors[:, order] / np.sqrt(values[order] + 1e-6))
