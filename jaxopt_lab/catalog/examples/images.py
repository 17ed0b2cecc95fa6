"""Tiny images: inputs of losses and layers that restore them."""

from __future__ import annotations

from typing import Any

import numpy as np


def compared_images() -> dict[str, Any]:
    """Four images of five by four pixels, a reference, and a window that fits.

    >>> compared_images()["reference"].shape
    (4, 5, 4)
    """
    outputs, reference = np.random.default_rng(0).uniform(size=(2, 4, 5, 4))
    given = {"outputs": outputs, "reference": reference, "perfect": reference}
    return {**given, "window": 3, "sd": 1.0}
