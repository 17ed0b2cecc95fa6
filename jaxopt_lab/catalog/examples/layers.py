"""Tiny inputs of layers."""

from __future__ import annotations

from typing import Any

import numpy as np


def normalized() -> dict[str, Any]:
    """Four examples of three positions and two features, about 1.

    >>> normalized()["x"].shape
    (4, 3, 2)
    """
    return {"x": np.random.default_rng(0).normal(1.0, 2.0, (4, 3, 2))}


def small_images() -> dict[str, Any]:
    """Four images of three by four positions and two features.

    >>> small_images()["x"].shape
    (4, 3, 4, 2)
    """
    return {"x": np.random.default_rng(3).normal(1.0, 2.0, (4, 3, 4, 2))}


def images_of_tangents() -> dict[str, Any]:
    """Four small images of short tangents, and a start that draws nothing.

    >>> images_of_tangents()["x"].shape
    (4, 3, 4, 2)
    """
    x = np.random.default_rng(3).normal(0.1, 0.4, (4, 3, 4, 2))
    return {"x": x, "start": "centre_identity"}


def swinging_images() -> dict[str, Any]:
    """The same for a convolution of stride 1, whose masks are those of the input.

    >>> swinging_images()["stride"]
    1
    """
    return {**small_images(), "stride": 1}


def few_components() -> dict[str, Any]:
    """The same for a layer of three components.

    >>> few_components()["components"]
    3
    """
    return {**normalized(), "components": 3}


def of_tasks() -> dict[str, Any]:
    """The same, examples of two tasks.

    >>> of_tasks()["x"][1].tolist()
    [0, 1, 1, 0]
    """
    return {"x": (normalized()["x"], np.array([0, 1, 1, 0])), "tasks": 2}


def of_groups() -> dict[str, Any]:
    """The same, examples of three groups and of none of them.

    >>> of_groups()["x"][1].tolist()
    [0, 2, -1, 1]
    """
    return {"x": (normalized()["x"], np.array([0, 2, -1, 1])), "groups": 3}


def ghosts() -> dict[str, Any]:
    """The same in ghost batches of two examples.

    >>> ghosts()["ghost_size"]
    2
    """
    return {**normalized(), "ghost_size": 2}


def in_groups() -> dict[str, Any]:
    """Four examples of three positions and six features, in two groups.

    >>> in_groups()["x"].shape
    (4, 3, 6)
    """
    x = np.random.default_rng(2).normal(0.5, 2.0, (4, 3, 6))
    return {"x": x, "groups": 2, "rounding": "nearest"}


def half_the_rows() -> dict[str, Any]:
    """The same, of whose twelve rows six are kept.

    >>> half_the_rows()["ratio"]
    0.5
    """
    return {"x": in_groups()["x"], "ratio": 0.5, "min_rows": 1}


def groups() -> dict[str, Any]:
    """The same in two groups of three features.

    >>> groups()["groups"]
    2
    """
    return {"x": in_groups()["x"], "groups": 2}


def five_features() -> dict[str, Any]:
    """Four examples of three positions and five features, about 1.

    >>> five_features()["x"].shape
    (4, 3, 5)
    """
    return {"x": third_block()["x"]}


def at_times() -> dict[str, Any]:
    """The same, with the logarithm of a signal-to-noise ratio for each example.

    >>> [leaf.shape for leaf in at_times()["x"]]
    [(4, 3, 5), (4,)]
    """
    return {"x": (third_block()["x"], np.array([-4.0, -0.5, 1.0, 3.0]))}


def sequences() -> dict[str, Any]:
    """Four sequences of three tokens and four features, in the second of two blocks.

    >>> sequences()["placement"]
    'post'
    """
    x = np.random.default_rng(3).normal(size=(4, 3, 4))
    return {"x": x, "heads": 2, "placement": "post", "residual": "1/n", "depth": 2}


def batch_of_sequences() -> dict[str, Any]:
    """The examples of ``sequences``, to attend to one another, without dropout.

    >>> batch_of_sequences()["dropout"]
    0.0
    """
    return {"x": sequences()["x"], "heads": 2, "dropout": 0.0}


def covariances() -> dict[str, Any]:
    """Four examples of two positive definite matrices of size 3.

    >>> covariances()["x"].shape
    (4, 2, 3, 3)
    """
    a = np.random.default_rng(4).normal(size=(4, 2, 3, 3)) / 2
    return {"x": a @ np.swapaxes(a, -1, -2) + np.eye(3), "power": 0.5}


def tangents() -> dict[str, Any]:
    """The input of ``five_features``, in a ball of curvature -1/2.

    >>> tangents()["curvature"]
    0.5
    """
    return {"x": third_block()["x"] / 4, "curvature": 0.5}


def two_regions() -> dict[str, Any]:
    """Four images of three by two pixels and two features; kernels of three.

    >>> two_regions()["x"].shape
    (4, 3, 2, 2)
    """
    x = np.random.default_rng(5).normal(1.0, 2.0, (4, 3, 2, 2))
    return {"x": x, "kernel_size": 3, "threshold": 0.5}


def third_block() -> dict[str, Any]:
    """The same with five features, in the third block.

    >>> third_block()["x"].shape
    (4, 3, 5)
    """
    x = np.random.default_rng(1).normal(1.0, 2.0, (4, 3, 5))
    return {"x": x, "index": 3}


def half_nested() -> dict[str, Any]:
    """The input of ``normalized``, of which about half the features are kept.

    >>> half_nested()["scale"]
    2.0
    """
    return {**normalized(), "scale": 2.0}


def quarter_dropped() -> dict[str, Any]:
    """The input of ``normalized``, of which a quarter is dropped.

    >>> quarter_dropped()["rate"]
    0.25
    """
    return {**normalized(), "rate": 0.25}


def among_codes() -> dict[str, Any]:
    """Four examples of three positions and six features, for a table of eight codes.

    >>> among_codes()["size"]
    8
    """
    return {"x": in_groups()["x"], "size": 8, "num_codes": 2, "affine": False}


def of_two_stages() -> dict[str, Any]:
    """The same in two groups, for two tables of four codes each that learn by values.

    >>> of_two_stages()["groups"]
    2
    """
    x = in_groups()["x"]
    return {"x": x, "size": 4, "stages": 2, "groups": 2, "through_codes": True}


def four_experts() -> dict[str, Any]:
    """The input of ``five_features``, for four experts of three units.

    >>> four_experts()["experts"]
    4
    """
    return {**five_features(), "experts": 4, "hidden": 3, "top": 2}


def three_classes() -> dict[str, Any]:
    """Four examples of three positions and two features, three classes of two proxies.

    >>> three_classes()["out"]
    3
    """
    return {**normalized(), "out": 3, "proxies": 2}


def three_hidden() -> dict[str, Any]:
    """Four examples of three positions and two features, a hidden layer of three.

    >>> three_hidden()["hidden"]
    3
    """
    return {**normalized(), "hidden": 3}


def two_chunks() -> dict[str, Any]:
    """Four examples of three embeddings of two numbers, chunks of three.

    >>> two_chunks()["chunk"]
    3
    """
    return {**normalized(), "hidden": 3, "chunk": 3, "chunk_features": 2}
