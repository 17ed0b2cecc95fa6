"""Digits as +-1 spins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from jaxopt_lab.data import load_digits


class Digits(NamedTuple):
    """Archetypes of the classes, and images.

    Attributes:
      archetypes: signs of the means of the training images, ``(10, 64)``.
      images: of the test part, ``(n, 64)``.
      labels: theirs.
    """

    archetypes: np.ndarray
    images: np.ndarray
    labels: np.ndarray


def digit_spins() -> Digits:
    """The embedded digits, +1 where a pixel is above 0.4 of full ink."""
    data = load_digits()

    def split(part: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        images = np.asarray(part["image"]).reshape(-1, 64)
        spins = np.where(images > 0.4, 1, -1).astype(np.float32)
        return spins, np.asarray(part["label"])

    (train, classes), (test, labels) = split(data.train), split(data.test)
    means = np.stack([train[classes == c].mean(0) for c in range(10)])
    return Digits(np.where(means > 0, 1, -1).astype(np.float32), test, labels)
