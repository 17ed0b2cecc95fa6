"""Tiny inputs of layers with other parametrizations."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxopt_lab.catalog.examples.layers import in_groups


def kernel_inputs() -> dict[str, Any]:
    """Four examples of three positions and six features, seven random features.

    >>> kernel_inputs()["num_features"]
    7
    """
    return {"x": in_groups()["x"], "num_features": 7, "radius": 1.5}


def adapter_inputs() -> dict[str, Any]:
    """The same, with a bottleneck of three.

    >>> adapter_inputs()["size"]
    3
    """
    return {**kernel_inputs(), "size": 3}


def conditions() -> dict[str, Any]:
    """Four examples of two positions and two inputs in [0, 1].

    >>> conditions()["x"].shape
    (4, 2, 2)
    """
    x = np.random.default_rng(6).uniform(size=(4, 2, 2))
    return {"x": x, "hidden": (3, 4)}


def attended_images() -> dict[str, Any]:
    """Four images of two by three positions and four features, for two heads.

    >>> attended_images()["x"].shape
    (4, 2, 3, 4)
    """
    x = np.random.default_rng(7).normal(size=(4, 2, 3, 4))
    return {"x": x, "heads": 2, "lepe_size": 3}


def tokens() -> dict[str, Any]:
    """Four sequences of five tokens and four features, for chunks of two.

    >>> tokens()["x"].shape
    (4, 5, 4)
    """
    x = np.random.default_rng(8).normal(size=(4, 5, 4))
    sizes = {"d_state": 2, "head_dim": 4, "conv_size": 3, "chunk": 2}
    return {"x": x, **sizes}


def node_states() -> dict[str, Any]:
    """Four graphs of two nodes and three features, for kernels of 3 by 4.

    >>> node_states()["shape"]
    (3, 4)
    """
    x = np.random.default_rng(15).normal(size=(4, 2, 3))
    return {"x": x, "shape": (3, 4), "rank": 2, "max_width": 5}
