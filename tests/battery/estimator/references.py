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


def ridged(fitted: Any, outputs: Any, targets: Any) -> float:
    """Cross-entropy with factors and offsets, and the default ridge of 0.01."""
    ones = np.ones(outputs.shape[1])
    scale, bias = (ones, 0 * ones) if fitted is None else map(np.asarray, fitted)
    penalty = 0.005 * (np.sum((scale - 1) ** 2) + np.sum(bias**2))
    return _cross_entropy(1.0, outputs * scale + bias, targets) + float(penalty)


def vector_scaling(outputs: Any, targets: Any) -> Any:
    """Newton's method with the derivatives written out."""
    count, classes = outputs.shape
    theta = np.concatenate([np.ones(classes), np.zeros(classes)])
    start, right = theta.copy(), np.eye(classes)[targets]
    for _ in range(60):
        z = outputs * theta[:classes] + theta[classes:]
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        slope, bend = 0.01 * (theta - start), 0.01 * np.eye(2 * classes)
        for i in range(count):
            # Derivatives of the logits of one example, classes by parameters.
            inner = np.hstack([np.diag(outputs[i]), np.eye(classes)])
            slope = slope + inner.T @ (p[i] - right[i])
            bend = bend + inner.T @ (np.diag(p[i]) - np.outer(p[i], p[i])) @ inner
        way = np.linalg.solve(bend, slope)
        theta = theta - way * min(1.0, 0.5 / np.abs(way).max())
    return {"scale": theta[:classes], "bias": theta[classes:]}


def _h_loss(slopes: Any, outputs: Any, targets: Any) -> Any:
    """The h-calibration loss of the row's example and its derivatives, by loops."""
    (count, classes), width, reach = outputs.shape, 2.0, 2
    soft = lambda z: np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    x = np.log(soft(outputs))
    ends = np.arange(len(slopes)) * width
    # Length of each entry in each segment, below zero.
    parts = np.stack([-np.clip(-x - e, 0, width) for e in ends], axis=-1)
    parts[..., -1] = np.minimum(x + ends[-1], 0)
    p = soft(parts @ np.abs(slopes))
    moved = parts * np.sign(slopes)
    by_slopes = p[..., None] * (moved - np.sum(p[..., None] * moved, axis=1)[:, None])
    total, slope = 0.0, np.zeros(len(slopes))
    for left in range(classes):
        events = [(i, c) for i in range(count) for c in range(classes)]
        events = [e for e in events if targets[e[0]] != left]
        events.sort(key=lambda e: p[e])
        q = np.array([p[e] for e in events])
        gaps, ways = [], []
        for j in range(len(events)):
            near = events[max(j - reach, 0) : j + reach + 1]
            mean = sum(p[i, c] - (targets[i] == c) for i, c in near) / 5
            gaps.append(abs(mean))
            ways.append(np.sign(mean) * sum(by_slopes[e] for e in near) / 5)
        centres = q[np.int64((np.arange(2) + 0.5) / 2 * len(q))]
        for _ in range(10):
            near = np.abs(q[:, None] - centres).argmin(axis=1)
            centres = np.array([q[near == k].mean() for k in range(2)])
        near = np.abs(q[:, None] - centres).argmin(axis=1)
        for k in range(2):
            total += np.mean(np.array(gaps)[near == k]) / 2 / classes
            slope += np.mean(np.array(ways)[near == k], axis=0) / 2 / classes
    return total, slope


def h_calibration(outputs: Any, targets: Any) -> Any:
    """Two steps of Adam, and the best of the three places."""
    slopes, mean, square, seen = np.ones(4), np.zeros(4), np.zeros(4), []
    for i in range(3):
        loss, slope = _h_loss(slopes, outputs, targets)
        seen.append((loss, i, slopes))
        mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope**2
        first, second = mean / (1 - 0.9 ** (i + 1)), square / (1 - 0.999 ** (i + 1))
        slopes = slopes - 0.005 * first / (np.sqrt(second + 1e-12) + 1e-5)
    loss, _, slopes = min(seen, key=lambda s: s[:2])
    return {"slopes": slopes, "loss": loss}


def h_loss(fitted: Any, outputs: Any, targets: Any) -> float:
    """The h-calibration loss of the mapped probabilities."""
    slopes = np.ones(4) if fitted is None else np.asarray(fitted.slopes)
    return float(_h_loss(slopes, outputs, targets)[0])


def naive_bayes(features: Any, targets: Any) -> Any:
    """Class by class, on features that are scaled and scaled back."""
    low, high = features.min(axis=0), features.max(axis=0)
    x, count = (features - low) / (high - low), len(targets)
    variance = 0.05 + sum(
        np.sum((x[targets == k] - x[targets == k].mean(axis=0)) ** 2, axis=0) / count
        for k in range(3)
    )
    means = np.array([x[targets == k].mean(axis=0) for k in range(3)])
    kernel = (means / variance).T
    bias = np.log(np.bincount(targets) / count) - np.sum(means**2 / variance, 1) / 2
    kernel = kernel / (high - low)[:, None]
    return {"kernel": kernel, "bias": bias - low @ kernel}


def t3(pretrained: Any, finetuned: Any) -> Any:
    """The divergence by its definition, and the published constants."""
    p, q = (
        np.exp(z) / np.exp(z).sum(1, keepdims=True) for z in (pretrained, finetuned)
    )
    m = (p + q) / 2
    mean = np.mean(np.sum(p * np.log(p / m) + q * np.log(q / m), axis=1)) / 2
    share = 1 / (1 + np.exp(-0.5 * mean))
    return {"divergence": mean, "coefficient": 0.1 + 0.8 * share}


def hidden_markov(targets: Any, frames: Any) -> Any:
    """Counts of starts, moves and frames by loops, and 1 for each."""
    start, move, share = np.ones(3), np.ones((3, 3)), np.ones(3)
    for labels, m in zip(targets, frames, strict=True):
        start[labels[0]] += m[0]
        for t, label in enumerate(labels):
            share[label] += m[t]
            if t:
                move[labels[t - 1], label] += m[t - 1] * m[t]
    return {
        "log_start": np.log(start / start.sum()),
        "log_transition": np.log(move / move.sum(axis=1, keepdims=True)),
        "log_prior": np.log(share / share.sum()),
    }


def datamodel(subset: Any, outputs: Any) -> Any:
    """Normal equations with the offset among the unknowns, which has no ridge."""
    x = np.hstack([subset, np.ones((len(subset), 1))])
    ridge = 1e-3 * np.diag([1.0] * subset.shape[1] + [0.0])
    found = np.linalg.solve(x.T @ x / len(x) + ridge, x.T @ outputs / len(x))
    return {"weights": found[:-1], "bias": found[-1]}


def wiener_denoiser(image: Any) -> Any:
    """Mean and covariance of NumPy."""
    return {"mean": image.mean(axis=0), "covariance": np.cov(image.T)}


ORACLES: dict[str, Callable[..., Any]] = {
    "temperature_scaling": temperature_scaling,
    "vector_scaling": vector_scaling,
    "h_calibration": h_calibration,
    "naive_bayes": naive_bayes,
    "t3": t3,
    "hidden_markov": hidden_markov,
    "datamodel": datamodel,
    "wiener_denoiser": wiener_denoiser,
}
MEASURES: dict[str, Callable[..., Any]] = {
    "temperature_scaling": cross_entropy,
    "vector_scaling": ridged,
    "h_calibration": h_loss,
}
