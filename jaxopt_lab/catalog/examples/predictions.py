"""Tiny predictions of a classifier: inputs of losses, metrics and estimators."""

from __future__ import annotations

from typing import Any

import numpy as np


def classified(examples: int = 6, classes: int = 3) -> dict[str, Any]:
    """Logits and labels, some of them right, and the perfect logits.

    >>> sorted(classified())
    ['outputs', 'perfect', 'targets']
    """
    rng = np.random.default_rng(0)
    targets = rng.integers(0, classes, examples).astype(np.int32)
    right = np.eye(classes)[targets]
    return {
        "outputs": rng.normal(size=(examples, classes)) + right,
        "targets": targets,
        "perfect": 1e4 * right,
    }


def tokens() -> dict[str, Any]:
    """Logits, labels and an embedding of five tokens.

    >>> tokens()["embedding"].shape
    (5, 4)
    """
    embedding = np.random.default_rng(1).normal(size=(5, 4))
    return {**classified(4, 5), "embedding": embedding}


def activations() -> dict[str, Any]:
    """Activations of four examples, two positions and three neurons, both signs.

    >>> activations()["outputs"].shape
    (4, 2, 3)
    """
    return {"outputs": np.random.default_rng(2).normal(size=(4, 2, 3))}


def measured() -> dict[str, Any]:
    """A batch of a metric, with the best and the worst outputs.

    >>> sorted(measured())
    ['best', 'outputs', 'targets', 'worst']
    """
    batch = classified()
    best = batch.pop("perfect")
    worst = np.roll(best, 1, axis=1)
    return {**batch, "best": best, "worst": worst}


def fitted() -> dict[str, Any]:
    """Data of a calibration with right and wrong predictions, and degenerate ones.

    >>> sorted(fitted()["degenerate"])
    ['all right', 'equal logits', 'one class', 'one example']
    """
    data = classified(8, 3)
    perfect = data.pop("perfect")
    # One prediction is surely wrong: without it no temperature would be the best.
    data["outputs"][0] = np.roll(perfect[0], 1) / 5e3
    one = {name: x[:1] for name, x in data.items()}
    degenerate = {
        "all right": {**data, "outputs": perfect},
        "equal logits": {**data, "outputs": np.zeros((8, 3))},
        "one class": {"outputs": np.ones((2, 1)), "targets": np.zeros(2, np.int32)},
        "one example": one,
    }
    return {"data": data, "inputs": data["outputs"], "degenerate": degenerate}


def windowed() -> dict[str, Any]:
    """The data of a calibration with short windows and few slopes.

    >>> windowed()["reach"]
    1
    """
    few = {"reach": 1, "clusters": 2, "segments": 3, "span": 6.0, "steps": 2}
    given = fitted()
    # Equal probabilities of an example would leave the order of its events open.
    given["data"]["outputs"][0] += [0.1, 0.3, 0.6]
    return {**given, **few}


def kernel() -> dict[str, Any]:
    """The shape of a kernel.

    >>> kernel()
    {'shape': (3, 5)}
    """
    return {"shape": (3, 5)}
