"""Tiny weight matrices and gram matrices of their inputs."""

from __future__ import annotations

from typing import Any

import numpy as np


def calibrated() -> dict[str, Any]:
    """Four outputs of six inputs, and the gram matrix of twelve correlated inputs.

    >>> calibrated()["weight"].shape
    (4, 6)
    """
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(6, 6)) / np.arange(1, 7)
    x = rng.normal(size=(12, 6)) @ mixing
    return {"weight": rng.normal(size=(4, 6)), "gram": x.T @ x}


def coarse() -> dict[str, Any]:
    """The same for four bits.

    >>> coarse()["bits"]
    4
    """
    return {**calibrated(), "bits": 4}


def coarse_unsigned() -> dict[str, Any]:
    """The same on the unsigned grid.

    >>> coarse_unsigned()["codec"]
    'gptq'
    """
    return {**coarse(), "codec": "gptq"}


def models_of_subsets() -> dict[str, Any]:
    """Outputs of nine models of subsets of four examples, and two forget sets.

    >>> models_of_subsets()["data"]["subset"].shape
    (9, 4)
    """
    rng = np.random.default_rng(6)
    subset = rng.integers(0, 2, size=(9, 4)).astype(np.float64)
    outputs = subset @ np.array([2.0, -1.0, 0.5, 0.0]) + 0.1 * rng.normal(size=9) + 3
    degenerate = {
        "constant": {"subset": np.ones((3, 4)), "outputs": np.ones(3)},
        "one model": {"subset": subset[:1], "outputs": outputs[:1]},
    }
    return {
        "data": {"subset": subset, "outputs": outputs},
        "inputs": np.array([[1.0, 0, 0, 0], [0, 1, 1, 0]]),
        "degenerate": degenerate,
    }


def few_codewords() -> dict[str, Any]:
    """The same for one codebook of four values.

    >>> few_codewords()["groups"]
    1
    """
    return {**calibrated(), "bits": 2, "groups": 1, "steps": 3}


def few_steps() -> dict[str, Any]:
    """The same for four bits and three steps.

    >>> few_steps()["steps"]
    3
    """
    return {**coarse(), "steps": 3}
