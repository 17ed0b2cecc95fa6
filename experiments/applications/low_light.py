"""Photographs in low light, blurred by shake: shot and read noise, saturation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from experiments.applications.photographs import patches


class Pairs(NamedTuple):
    """Images ``(N, size, size, 1)``: sharp, blurred without noise, seen; kernels."""

    sharp: np.ndarray
    blurred: np.ndarray
    seen: np.ndarray
    kernels: np.ndarray


def motion_kernel(rng: np.random.Generator, size: int) -> np.ndarray:
    """The path of a shaking camera: a smooth random walk, with the sum 1."""
    turns = rng.normal(0, 0.4) + rng.normal(0, 0.25, 32).cumsum()
    angles = rng.uniform(0, 2 * np.pi) + 0.3 * turns
    path = np.stack([np.sin(angles), np.cos(angles)], axis=1).cumsum(axis=0)
    path -= (path.max(axis=0) + path.min(axis=0)) / 2
    path *= rng.uniform(0.5, 1) * (size // 2 - 0.5) / np.abs(path).max()
    kernel = np.zeros((size, size))
    for place in path + size // 2:
        i, j = place.astype(int)
        di, dj = place - (i, j)
        square = np.outer([1 - di, di], [1 - dj, dj])
        kernel[i : i + 2, j : j + 2] += square[: size - i, : size - j]
    return kernel / kernel.sum()


def pairs(
    rng: np.random.Generator,
    images: list[np.ndarray],
    count: int,
    *,
    size: int,
    blur: int,
    photons: float,
    read: float,
) -> Pairs:
    """Patches seen through shake and low light.

    Args:
      rng: draws places, kernels and noise.
      images: grey, between 0 and 1.
      count: number of patches.
      size: of the sides of a patch.
      blur: of the sides of a kernel, odd.
      photons: at the brightest pixel that is not saturated.
      read: standard deviation of the noise that does not depend on light.

    Returns:
      The patches.
    """
    edge = blur // 2
    scene = patches(rng, images, size + 2 * edge, count)
    scene = scene + 4 * np.maximum(scene - 0.8, 0)  # lights beyond the range
    kernels = np.stack([motion_kernel(rng, blur) for _ in range(count)])
    blurred = np.zeros((count, size, size))
    for i, j in np.ndindex(blur, blur):
        # A convolution: the kernel is turned.
        rows, columns = 2 * edge - i, 2 * edge - j
        window = scene[:, rows : rows + size, columns : columns + size]
        blurred += kernels[:, i, j, None, None] * window
    seen = rng.poisson(photons * blurred) / photons
    seen = np.clip(seen + rng.normal(0, read, seen.shape), 0, 1)
    sharp = np.clip(scene[:, edge : edge + size, edge : edge + size], 0, 1)
    planes = (sharp, np.clip(blurred, 0, 1), seen)
    one, two, three = (x[..., None].astype("f4") for x in planes)
    return Pairs(one, two, three, kernels.astype("f4"))


def brightest(test: Pairs) -> int:
    """The patch with the most saturated pixels, of those with less than half."""
    share = np.mean(test.sharp >= 1, axis=(1, 2, 3))
    return int(np.argmax(np.where(share < 0.5, share, -1)))
