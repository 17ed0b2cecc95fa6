"""Tiny inputs of decoders of blocks and of merging."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxopt_lab.catalog.examples.batches import prompts


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


def masked_prompts() -> dict[str, Any]:
    """Three prompts, and a model of masked tokens, the last token the mask.

    >>> masked_prompts()["params"].shape
    (6, 6)
    """
    rng = np.random.default_rng(0)
    return {
        "prompt": rng.integers(0, 5, (3, 4)).astype(np.int32),
        "lengths": np.array([4, 1, 2], np.int32),
        "params": 2 * rng.normal(size=(6, 6)),
        "max_tokens": 5,
        "block": 3,
        "threshold": 0.6,
    }


def sampled_prompts() -> dict[str, Any]:
    """Those of ``prompts``, for a decoder that draws from the first token alone.

    >>> sampled_prompts()["top_k"]
    1
    """
    return {**prompts(), "temperature": 0.7, "top_k": 1}


def layered_prompts() -> dict[str, Any]:
    """Those of ``prompts``, for a decoder of three and then two of four layers.

    >>> layered_prompts()["min_layers"]
    2
    """
    return {**prompts(), "max_layers": 3, "min_layers": 2}


def drafted_prompts() -> dict[str, Any]:
    """Those of ``prompts``, for a decoder that drafts two tokens.

    >>> drafted_prompts()["drafts"]
    2
    """
    return {**prompts(), "drafts": 2}
