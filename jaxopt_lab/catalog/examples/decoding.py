"""Tiny inputs of decoders of blocks and of merging."""

from __future__ import annotations

from typing import Any

import numpy as np


def two_models() -> dict[str, Any]:
    """Logits of two models on six examples, and two trees of their parameters.

    >>> sorted(two_models()["degenerate"])
    ['equal predictions', 'one class', 'one example']
    """
    rng = np.random.default_rng(0)
    names = "pretrained", "finetuned"
    data = {name: rng.normal(size=(6, 3)) for name in names}
    trees = {name: {"kernel": rng.normal(size=(2, 3))} for name in names}
    degenerate = {
        "equal predictions": dict.fromkeys(names, data["pretrained"]),
        "one class": {name: rng.normal(size=(4, 1)) for name in names},
        "one example": {name: x[:1] for name, x in data.items()},
    }
    return {"data": data, "inputs": trees, "degenerate": degenerate}
