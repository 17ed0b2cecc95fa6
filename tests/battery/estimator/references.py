"""The estimators' oracles in plain NumPy, and the quantities that they improve."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def _cross_entropy(beta: float, outputs: Any, targets: Any) -> float:
    z = beta * outputs
    z = z - z.max(axis=1, keepdims=True)
    own = z[np.arange(len(targets)), targets]
    return float(np.sum(np.log(np.exp(z).sum(axis=1)) - own))


def temperature_scaling(outputs: Any, targets: Any) -> Any:
    """Golden-section search of the cross-entropy, which is convex in 1 / T."""
    low, high = 0.01, 100.0
    ratio = (np.sqrt(5) - 1) / 2
    for _ in range(200):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        one, two = (_cross_entropy(b, outputs, targets) for b in (left, right))
        low, high = (low, right) if one < two else (left, high)
    # The minimum is flat: near it, the zero of the derivative is exact.
    beta = (low + high) / 2
    for _ in range(5):
        p = np.exp(beta * outputs)
        p /= p.sum(axis=1, keepdims=True)
        mean = np.sum(p * outputs, axis=1)
        slope = np.sum(mean - outputs[np.arange(len(targets)), targets])
        beta -= slope / np.sum(np.sum(p * outputs**2, axis=1) - mean**2)
    return {"temperature": 1 / beta}


def cross_entropy(fitted: Any, outputs: Any, targets: Any) -> float:
    """Cross-entropy of the logits, divided by the temperature where it is fitted."""
    beta = 1.0 if fitted is None else 1 / float(fitted.temperature)
    return _cross_entropy(beta, outputs, targets)


def t3(pretrained: Any, finetuned: Any) -> Any:
    """The divergence by its definition, and the published constants."""
    p, q = (
        np.exp(z) / np.exp(z).sum(1, keepdims=True) for z in (pretrained, finetuned)
    )
    m = (p + q) / 2
    mean = np.mean(np.sum(p * np.log(p / m) + q * np.log(q / m), axis=1)) / 2
    share = 1 / (1 + np.exp(-0.5 * mean))
    return {"divergence": mean, "coefficient": 0.1 + 0.8 * share}


ORACLES: dict[str, Callable[..., Any]] = {
    "temperature_scaling": temperature_scaling,
    "t3": t3,
}
MEASURES: dict[str, Callable[..., Any]] = {"temperature_scaling": cross_entropy}
