"""The metrics in plain NumPy, example by example."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from battery.metric import set_references as sets


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


def _ranked(outputs: Any, targets: Any) -> Any:
    """The relevances of each list by falling score."""
    return np.take_along_axis(targets, np.argsort(-outputs, axis=1), axis=1)


def ndcg(outputs: Any, targets: Any, weight: Any = None, top: int | None = None) -> Any:
    """List by list, of scores that differ."""
    found = []
    for y in _ranked(outputs, targets):
        gain = lambda y: sum((2**g - 1) / np.log2(r + 2) for r, g in enumerate(y[:top]))
        found.append(gain(y) / gain(np.sort(y)[::-1]))
    return {"ndcg": np.average(found, weights=_weights(targets, weight))}


def mean_reciprocal_rank(
    outputs: Any,
    targets: Any,
    weight: Any = None,
    top: int | None = None,
    least: float = 1.0,
) -> Any:
    """List by list, of scores that differ."""
    first = [1 + list(y >= least).index(True) for y in _ranked(outputs, targets)]
    found = [1 / r if top is None or r <= top else 0.0 for r in first]
    weights = _weights(targets, weight)
    return {"mean_reciprocal_rank": np.average(found, weights=weights)}


def mean_average_precision(
    outputs: Any, targets: Any, weight: Any = None, least: float = 1.0
) -> Any:
    """List by list, of scores that differ."""
    found = []
    for y in _ranked(outputs, targets):
        ranks = 1 + np.flatnonzero(y >= least)
        found.append(np.mean(np.arange(1, len(ranks) + 1) / ranks))
    weights = _weights(targets, weight)
    return {"mean_average_precision": np.average(found, weights=weights)}


REFERENCES: dict[str, Callable[..., Any]] = {
    "accuracy": accuracy,
    "classwise_calibration_error": classwise_calibration_error,
    "knn_coverage": sets.knn_coverage,
    "mark_evaluate": sets.mark_evaluate,
    "fuzzy_topology_impact": sets.fuzzy_topology_impact,
    "lsh_precision_recall": sets.lsh_precision_recall,
    "mean_average_precision": mean_average_precision,
    "mean_reciprocal_rank": mean_reciprocal_rank,
    "ndcg": ndcg,
    "expected_calibration_error": expected_calibration_error,
}
