"""The metrics in plain NumPy, example by example."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def _weights(targets: Any, weight: Any) -> Any:
    return np.ones(len(targets)) if weight is None else weight


def accuracy(outputs: Any, targets: Any, weight: Any = None, top: int = 1) -> Any:
    """Share of the examples whose label is among the ``top`` largest."""
    hits = [y in np.argsort(-z)[:top] for z, y in zip(outputs, targets, strict=True)]
    return {"accuracy": np.average(hits, weights=_weights(targets, weight))}


def expected_calibration_error(
    outputs: Any, targets: Any, weight: Any = None, bins: int = 15
) -> Any:
    """Bin by bin."""
    weight = _weights(targets, weight)
    p = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    confidence, correct = p.max(axis=1), p.argmax(axis=1) == targets
    total = 0.0
    for b in range(bins):
        inside = (confidence > b / bins) & (confidence <= (b + 1) / bins)
        w = weight[inside]
        if w.sum() > 0:
            gap = np.average(correct[inside], weights=w)
            gap -= np.average(confidence[inside], weights=w)
            total += w.sum() * abs(gap)
    return {"expected_calibration_error": total / weight.sum()}


def classwise_calibration_error(
    outputs: Any, targets: Any, classes: int, weight: Any = None, bins: int = 15
) -> Any:
    """Class by class and bin by bin."""
    weight, total = _weights(targets, weight), 0.0
    p = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    for c in range(classes):
        for b in range(bins):
            inside = (p[:, c] > b / bins) & (p[:, c] <= (b + 1) / bins)
            total += abs(np.sum((weight * ((targets == c) - p[:, c]))[inside]))
    return {"classwise_calibration_error": total / classes / weight.sum()}


def knn_coverage(real: Any, generated: Any, k: int = 5) -> Any:
    """From all distances."""
    apart = lambda a, b: np.sqrt(np.sum((a[:, None] - b[None]) ** 2, axis=-1))
    radii = [np.sort(apart(s, s), axis=1)[:, k] for s in (real, generated)]
    pairs = apart(real, generated)
    in_real, in_generated = pairs <= radii[0][:, None], pairs <= radii[1][None]
    return {
        "precision": in_real.any(axis=0).mean(),
        "recall": in_generated.any(axis=1).mean(),
        "coverage": in_real.any(axis=1).mean(),
    }


REFERENCES: dict[str, Callable[..., Any]] = {
    "accuracy": accuracy,
    "classwise_calibration_error": classwise_calibration_error,
    "knn_coverage": knn_coverage,
    "expected_calibration_error": expected_calibration_error,
}
