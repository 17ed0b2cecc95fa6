"""Patches of photographs that installed packages bring along, and their PSNR."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from jaxopt_lab.core.errors import InputError

INSTALL = 'pip install "jaxopt-lab[applications]"'


def photographs() -> list[np.ndarray]:
    """Two photographs in grey, ``(427, 640)`` between 0 and 1, of scikit-learn.

    Raises:
      InputError: scikit-learn, or pillow, which reads them, is not installed.
    """
    return [grey(image) for image in _samples()]


def colour_photographs() -> list[np.ndarray]:
    """The same two in colour, ``(427, 640, 3)``; see ``photographs``."""
    return [np.asarray(image) / 255.0 for image in _samples()]


def made_disparity(
    rng: np.random.Generator, height: int, width: int, boxes: int = 12
) -> np.ndarray:
    """Disparities of a made scene: ground that rises to a far wall, upright boxes.

    Args:
      rng: draws the boxes.
      height: of the image.
      width: of the image.
      boxes: number of them.

    Returns:
      ``(height, width)`` between 0.25 and 1, larger where it is nearer.
    """
    rows = np.arange(height) / (height - 1)
    found = np.repeat(np.maximum(0.25, rows)[:, None], width, axis=1)
    feet = np.sort(rng.uniform(0.3, 1, boxes))  # the nearest hides the others
    for foot, high, wide, left in zip(
        feet, *rng.uniform((0.3, 0.1, 0), (0.8, 0.3, 0.9), (boxes, 3)).T, strict=True
    ):
        # What is nearer looks larger.
        row, column = round(foot * height), round(left * width)
        top = max(0, row - round(high * foot * height))
        found[top:row, column : column + round(wide * foot * width)] = foot
    return found


def stereo_photograph() -> tuple[np.ndarray, np.ndarray]:
    """A photograph, RGB between 0 and 1, and its disparity, of scikit-image.

    Returns:
      ``(500, 741, 3)`` and ``(500, 741)``; disparities that are not known are filled
      in along the rows.

    Raises:
      InputError: scikit-image is not installed.
    """
    left, _, disparity = _needed("skimage.data").stereo_motorcycle()
    return left / 255.0, filled(disparity)


def filled(disparity: np.ndarray) -> np.ndarray:
    """Rows with their holes (not finite, or 0) interpolated linearly.

    Args:
      disparity: ``(H, W)``; every row has a number.

    Returns:
      Positive numbers.

    >>> filled(np.array([[np.inf, 2.0, 0.0, 4.0]])).tolist()
    [[2.0, 2.0, 3.0, 4.0]]
    """
    found = np.array(disparity, float)
    places = np.arange(found.shape[1])
    for row in found:
        there = np.isfinite(row) & (row > 0)
        row[~there] = np.interp(places[~there], places[there], row[there])
    return found


def grey(image: np.ndarray) -> np.ndarray:
    """The luminance of an RGB image of bytes, between 0 and 1.

    >>> grey(np.full((1, 1, 3), 255)).round(6).tolist()
    [[1.0]]
    """
    return np.asarray(image) / 255.0 @ np.array([0.299, 0.587, 0.114])


def halves(image: np.ndarray, share: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    """The left part of an image, for training, and the right one, for tests.

    >>> [part.shape for part in halves(np.zeros((2, 10)))]
    [(2, 6), (2, 4)]
    """
    cut = round(share * image.shape[1])
    return image[:, :cut], image[:, cut:]


def patches(
    rng: np.random.Generator, images: list[np.ndarray], size: int, count: int
) -> np.ndarray:
    """Squares at uniform places of images, taken in turn.

    Args:
      rng: draws the places.
      images: ``(H, W[, C])``, at least ``size`` by ``size``.
      size: of the sides.
      count: number of patches.

    Returns:
      ``(count, size, size[, C])``.
    """
    found = []
    for n in range(count):
        image = images[n % len(images)]
        i, j = (rng.integers(side - size + 1) for side in image.shape[:2])
        found.append(image[i : i + size, j : j + size])
    return np.stack(found)


def psnr(a: Any, b: Any) -> np.ndarray:
    """Peak signal-to-noise ratio of images between 0 and 1, in decibels, ``(B,)``.

    >>> psnr(np.zeros((1, 2, 2)), np.full((1, 2, 2), 0.1)).round(6).tolist()
    [20.0]
    """
    gap = np.asarray(a, float) - np.asarray(b, float)
    with np.errstate(divide="ignore"):  # of equal images it is infinite
        return -10 * np.log10(np.mean(gap**2, axis=tuple(range(1, gap.ndim))))


def pooled_psnr(a: Any, b: Any) -> float:
    """The ratio of the mean squared error of all images together, in decibels.

    The mean of single ratios is infinite where one image, such as a patch that is
    saturated, is matched exactly.

    >>> round(pooled_psnr(np.zeros((2, 2)), np.array([[0.1, 0.1], [0.0, 0.0]])), 2)
    23.01
    """
    gap = np.asarray(a, float) - np.asarray(b, float)
    return float(psnr(gap.reshape(1, -1), 0.0)[0])


def _samples() -> Any:
    data = _needed("sklearn.datasets")
    _needed("PIL")
    return data.load_sample_images().images


def _needed(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            f"the photographs need {module} ({error}); install it with {INSTALL}"
        ) from None
