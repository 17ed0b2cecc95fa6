"""Digits as cells of batches, and a classifier of latents."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from experiments.applications.mixed_effects.config import Config


class Cells(NamedTuple):
    """Cells as they were measured.

    Attributes:
      x: ``(N, features)``, float32.
      group: ``(N,)``, the batch of each.
      label: ``(N,)``, the class.
    """

    x: np.ndarray
    group: np.ndarray
    label: np.ndarray


class Components(NamedTuple):
    """Principal components of images.

    Attributes:
      mean: ``(64,)``.
      directions: ``(features, 64)``, rows of length 1.
      scale: of the scores, so that their mean variance is 1.
    """

    mean: np.ndarray
    directions: np.ndarray
    scale: float

    def scores(self, images: np.ndarray) -> np.ndarray:
        """Features ``(N, features)`` of images ``(N, 64)``."""
        return ((images - self.mean) @ self.directions.T / self.scale).astype(
            np.float32
        )

    def images(self, scores: np.ndarray) -> np.ndarray:
        """Images ``(N, 8, 8)`` of features."""
        found = np.asarray(scores) * self.scale @ self.directions + self.mean
        return found.reshape(-1, 8, 8)


def components(images: np.ndarray, count: int) -> Components:
    """The first principal components of images ``(N, 64)``."""
    mean = images.mean(axis=0)
    _, values, directions = np.linalg.svd(images - mean, full_matrices=False)
    scale = np.sqrt(np.sum(values[:count] ** 2) / len(images) / count)
    return Components(mean, directions[:count], float(scale))


class Effects(NamedTuple):
    """The effects of batches, and their shares of the classes.

    Attributes:
      gain: ``(batches, features)``.
      shift: likewise.
      shares: ``(batches, 10)``.
    """

    gain: np.ndarray
    shift: np.ndarray
    shares: np.ndarray

    def seen(self, x: np.ndarray, group: np.ndarray) -> np.ndarray:
        """Cells as they are measured in their batch."""
        return (x * self.gain[group] + self.shift[group]).astype(np.float32)


def effects(rng: np.random.Generator, config: Config) -> Effects:
    """Random effects of all batches."""
    shape = (config.batches, config.features)
    gain = np.exp(config.gain * rng.normal(size=shape))
    shares = rng.dirichlet(np.full(10, config.shares), config.batches)
    return Effects(gain, config.shift * rng.normal(size=shape), shares)


def measured(
    rng: np.random.Generator, found: Effects, x: np.ndarray, label: np.ndarray
) -> Cells:
    """Cells in random batches: of a batch, as many of a class as its share says.

    Args:
      rng: draws the batches.
      found: the effects.
      x: features without them.
      label: the classes.

    Returns:
      The cells.
    """
    chance = found.shares[:, label]
    total = np.cumsum(chance / chance.sum(axis=0), axis=0)
    group = np.sum(rng.random(len(label)) > total, axis=0)
    group = np.minimum(group, len(found.shares) - 1)
    return Cells(found.seen(x, group), group.astype(np.int32), label)


def neighbour_accuracy(
    latents: tuple[np.ndarray, np.ndarray], labels: tuple[Any, Any], count: int
) -> float:
    """Accuracy of the majority of the nearest training latents, on test latents.

    Args:
      latents: of training and test cells; brought to deviation 1 by the former.
      labels: theirs, integers.
      count: of neighbours.

    Returns:
      The share of test cells that are right; of equal majorities the least label.
    """
    mean, scale = latents[0].mean(axis=0), latents[0].std(axis=0) + 1e-9
    train, test = ((z - mean) / scale for z in latents)
    gaps = np.sum((test[:, None] - train[None]) ** 2, axis=-1)
    near = np.asarray(labels[0])[np.argsort(gaps, axis=1)[:, :count]]
    votes = (near[:, :, None] == np.arange(near.max() + 1)).sum(axis=1)
    return float(np.mean(votes.argmax(axis=1) == np.asarray(labels[1])))
