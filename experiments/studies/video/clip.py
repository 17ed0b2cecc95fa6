"""Synthetic clips: a texture that is panned and zoomed behind a disc that moves."""

from __future__ import annotations

import numpy as np

from experiments.studies.video.config import Config

_WAVES = 6


def clip(seed: int, config: Config) -> np.ndarray:
    """The frames of a clip.

    Args:
      seed: of the texture, the motion and the disc.
      config: the size of the study.

    Returns:
      float32 from 0 to 1, ``(frames, height, width, 3)``.
    """
    rng = np.random.default_rng(seed)
    times = np.linspace(0, 1, config.frames)[:, None, None]
    y, x = np.meshgrid(
        np.linspace(-0.5, 0.5, config.height) * config.height / config.width,
        np.linspace(-0.5, 0.5, config.width),
        indexing="ij",
    )
    pan, zoom = 0.4 * rng.normal(size=2), 1 + 0.3 * times
    at = [zoom * v[None] + p * times for v, p in zip((y, x), pan, strict=True)]
    waves = 4 * np.pi * rng.normal(size=(_WAVES, 2))
    phases = rng.uniform(0, 2 * np.pi, (_WAVES, 3))
    angles = sum(np.multiply.outer(v, w) for v, w in zip(at, waves.T, strict=True))
    texture = np.sin(np.asarray(angles)[..., None] + phases).mean(axis=-2)
    frames = 0.5 + 0.5 * texture
    center = 0.25 * np.stack([np.sin(2 * np.pi * times), np.cos(2 * np.pi * times)])
    apart = np.hypot(y[None] - center[0], x[None] - center[1])
    # A soft edge of about a pixel.
    disc = 1 / (1 + np.exp((apart - 0.12) * config.width))
    color = rng.uniform(0, 1, 3)
    frames = frames + disc[..., None] * (color - frames)
    return np.clip(frames, 0, 1).astype(np.float32)
