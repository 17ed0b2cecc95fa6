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


def blurred_images() -> dict[str, Any]:
    """Four images of three by four pixels and two features, and kernels of their blur.

    >>> [leaf.shape for leaf in blurred_images()["x"]]
    [(4, 3, 4, 2), (4, 3, 3)]
    """
    rng = np.random.default_rng(1)
    kernels = rng.uniform(size=(4, 3, 3))
    kernels[:, 1, 1] += 3.0
    return {"x": (rng.normal(size=(4, 3, 4, 2)), kernels)}


def denoised_images() -> dict[str, Any]:
    """Four noisy images, denoised by a blind and a seeing network, and subsampled.

    >>> denoised_images()["choices"].shape
    (4, 1, 2)
    """
    rng = np.random.default_rng(2)
    outputs, noisy, unmasked = rng.normal(size=(3, 4, 2, 4, 2))
    return {
        "outputs": outputs,
        "noisy": noisy,
        "unmasked": unmasked,
        "masked_of_sub": rng.normal(size=(4, 1, 2, 2)),
        "choices": rng.integers(0, 4, (4, 1, 2)).astype(np.int32),
        "strength": 0.5,
    }


def attended_images() -> dict[str, Any]:
    """Four faint images of four by five pixels and two features.

    >>> attended_images()["x"].shape
    (4, 4, 5, 2)
    """
    x = np.random.default_rng(5).normal(-0.03, 0.05, (4, 4, 5, 2))
    return {"x": x, "reduction": 2}


def fused_images() -> dict[str, Any]:
    """The same, two features from an encoder and two from a decoder.

    >>> fused_images()["x"].shape
    (4, 4, 5, 4)
    """
    x = np.random.default_rng(4).normal(-0.03, 0.05, (4, 4, 5, 4))
    return {"x": x, "reduction": 2}
