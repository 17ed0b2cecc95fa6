"""Tiny inputs of small networks."""

from __future__ import annotations

from typing import Any

import numpy as np


def coordinates() -> dict[str, Any]:
    """Four examples of three points in the plane, for two layers of three slow sines.

    >>> coordinates()["x"].shape
    (4, 3, 2)
    """
    x = np.random.default_rng(9).uniform(-1, 1, (4, 3, 2))
    return {"x": x, "hidden": 3, "depth": 2, "omega_first": 2.0, "omega": 1.5}


def noisy_kernel() -> dict[str, Any]:
    """The shape of a kernel, and noise of WINNER.

    >>> noisy_kernel()["shape"]
    (3, 5)
    """
    return {"shape": (3, 5), "omega": 2.0, "noise": 0.25}


def narrow() -> dict[str, Any]:
    """Four examples of three positions and five features, two blocks of two units.

    >>> narrow()["x"].shape
    (4, 3, 5)
    """
    x = np.random.default_rng(10).normal(size=(4, 3, 5))
    return {"x": x, "skip": 6, "bottleneck": 2, "depth": 2, "norm": "rms"}


def edges() -> dict[str, Any]:
    """Four examples of two positions and two features, three spaces.

    >>> edges()["x"].shape
    (4, 2, 2)
    """
    x = np.random.default_rng(11).uniform(-1, 1, (4, 2, 2))
    return {"x": x, "out": 2, "spaces": ("chebyshev", "wavelet", "plain")}


def patches() -> dict[str, Any]:
    """Four images of three by two pixels and two features, two spaces.

    >>> patches()["x"].shape
    (4, 3, 2, 2)
    """
    x = np.random.default_rng(12).uniform(-1, 1, (4, 3, 2, 2))
    return {"x": x, "out": 2, "spaces": ("chebyshev", "plain"), "size": 2}


def functions() -> dict[str, Any]:
    """Four periodic functions of two channels on four by four points, for two grids.

    >>> functions()["levels"]
    2
    """
    x = np.random.default_rng(13).normal(size=(4, 4, 4, 2))
    kind = {"boundary": "periodic", "correction": "residual"}
    return {"x": x, "levels": 2, "coarsest": 1, **kind}


def one_layer() -> dict[str, Any]:
    """The same for a network of one layer of three channels.

    >>> one_layer()["width"]
    3
    """
    return {**functions(), "width": 3, "depth": 1}


def on_a_sphere() -> dict[str, Any]:
    """Four examples of three positions and two features, for data of dimension 3.

    >>> on_a_sphere()["dimension"]
    3
    """
    x = np.random.default_rng(14).normal(size=(4, 3, 2))
    return {"x": x, "dimension": 3}
