"""Tiny inputs of parts over sequences."""

from __future__ import annotations

from typing import Any

import numpy as np


def labelled_frames() -> dict[str, Any]:
    """Three sequences of four labels with a weight a frame, and two of scores.

    >>> sorted(labelled_frames()["degenerate"])
    ['frames of no weight', 'one frame', 'one state']
    """
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 3, (3, 4)).astype(np.int32)
    frames = rng.uniform(0.5, 1.5, (3, 4))
    degenerate = {
        "frames of no weight": {"targets": targets, "frames": 0 * frames},
        "one frame": {"targets": targets[:, :1], "frames": frames[:, :1]},
        "one state": {"targets": 0 * targets, "frames": frames},
    }
    return {
        "data": {"targets": targets, "frames": frames},
        "inputs": rng.normal(size=(3, 4, 3)),
        "degenerate": degenerate,
        "states": 3,
    }
