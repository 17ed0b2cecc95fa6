"""Rings and grids of Gaussians, and the modes that samples cover."""

from __future__ import annotations

import numpy as np

from experiments.studies.gan_diversity.config import Config


def centers(config: Config) -> dict[str, np.ndarray]:
    """The centres of the modes of every set.

    Args:
      config: the size of the study.

    Returns:
      By name, ``(modes, 2)``.
    """
    angles = 2 * np.pi * np.arange(config.ring) / config.ring
    line = 2 * np.arange(config.grid) - (config.grid - 1)
    return {
        "ring": 2 * np.stack([np.cos(angles), np.sin(angles)], axis=1),
        "grid": np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2),
    }


def points(seed: int, where: np.ndarray, count: int, config: Config) -> np.ndarray:
    """Points of a set.

    Args:
      seed: of the draws.
      where: centres of its modes.
      count: of points.
      config: the size of the study.

    Returns:
      float32, ``(count, 2)``.
    """
    rng = np.random.default_rng(seed)
    chosen = where[rng.integers(0, len(where), count)]
    around = config.spread * rng.normal(size=chosen.shape)
    return (chosen + around).astype(np.float32)


def covered(
    samples: np.ndarray, where: np.ndarray, config: Config
) -> tuple[int, float]:
    """Modes that samples cover, and the share of the samples near a mode.

    Args:
      samples: ``(count, 2)``.
      where: centres of the modes.
      config: the size of the study.

    Returns:
      Modes with at least ``least`` of their fair part of the samples, and the share.
    """
    distances = np.linalg.norm(samples[:, None] - where[None], axis=-1)
    nearest = distances.argmin(axis=1)
    good = distances.min(axis=1) < config.near * config.spread
    counts = np.bincount(nearest[good], minlength=len(where))
    fair = config.least * len(samples) / len(where)
    return int(np.sum(counts >= fair)), float(good.mean())
