"""The metrics of two sets in plain NumPy, point by point."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def _apart(a: Any, b: Any) -> Any:
    return np.sqrt(np.sum((a[:, None] - b[None]) ** 2, axis=-1))


def knn_coverage(real: Any, generated: Any, k: int = 5) -> Any:
    """From all distances."""
    radii = [np.sort(_apart(s, s), axis=1)[:, k] for s in (real, generated)]
    pairs = _apart(real, generated)
    in_real, in_generated = pairs <= radii[0][:, None], pairs <= radii[1][None]
    return {
        "precision": in_real.any(axis=0).mean(),
        "recall": in_generated.any(axis=1).mean(),
        "coverage": in_real.any(axis=1).mean(),
    }


def mark_evaluate(real: Any, generated: Any, k: int = 1) -> Any:
    """Point by point, without repeated points."""
    s, c = (np.unique(x, axis=0) for x in (real, generated))
    size = len(real) + len(generated)
    radii = [np.sort(_apart(x, x), axis=1)[:, k] for x in (s, c)]
    a = (_apart(c, s) <= radii[0][None]) * 1
    b = (_apart(s, c) <= radii[1][None]) * 1
    marked, captured = a.any(axis=1), b.any(axis=1)
    both = marked.sum() + captured.sum()
    petersen = (len(c) + captured.sum()) * (len(s) + marked.sum()) / both

    def schnabel(x: Any, marks: Any, seen: int) -> float:
        marks, again = marks.copy(), 0
        for row in np.argsort(_apart(x, x), axis=1, kind="stable")[:, : k + 1]:
            again += marks[row].sum()
            marks[row] = True
        captures = (k + 1) * len(x) + seen
        return captures * (len(s) + len(c)) / (seen + again)

    total = a.sum() + b.sum() + (k + 1) * (len(s) + len(c))
    m = len(s) + len(c)
    best, capture = -np.inf, 0
    for p in range(m, 2 * size + 1):
        rest = m * p - total
        if rest < 0:
            continue
        log = math.lgamma(p + 1) - math.lgamma(p - m + 1) - m * p * math.log(m * p)
        log += rest * math.log(rest) if rest else 0.0
        if log > best:
            best, capture = log, p
    found = {
        "petersen": petersen,
        "schnabel_quality": schnabel(c, marked, b.sum()),
        "schnabel_diversity": schnabel(s, captured, a.sum()),
        "capture": capture,
    }
    return {n: 1 - min(1.0, abs(p - size) / size) for n, p in found.items()}


def fuzzy_topology_impact(
    real: Any, generated: Any, k: int = 5, combine: str = "union"
) -> Any:
    """Point by point, with a bisection of a hundred steps."""

    def impact(base: Any, judged: Any) -> float:
        missed, largest = np.ones(len(judged)), np.zeros(len(judged))
        for i, x in enumerate(base):
            near = np.sort(_apart(x[None], np.delete(base, i, axis=0))[0])[:k]
            rho = near[0]
            low, high = 0.0, 1e3
            for _ in range(100):
                middle = (low + high) / 2
                above = np.exp(-(near - rho) / middle).sum() > math.log2(k)
                low, high = (low, middle) if above else (middle, high)
            sigma = max(high, 1e-3 * near.mean())
            d = _apart(judged, x[None])[:, 0]
            w = np.where(d <= near[-1], np.exp(-np.maximum(0, d - rho) / sigma), 0)
            missed, largest = missed * (1 - w), np.maximum(largest, w)
        return float(np.mean(largest if combine == "max" else 1 - missed))

    return {
        "quality": impact(real, generated),
        "diversity": impact(generated, real),
    }


def lsh_precision_recall(
    real: Any,
    generated: Any,
    hashes: Any,
    family: str = "sign",
    k: int = 3,
    members: int = 1,
    width: float = 1.0,
) -> Any:
    """Bucket by bucket: dicts of tuples of codes."""
    center = real.mean(axis=0)
    sets = [real - center, generated - center]

    def codes(x: Any) -> list[list[Any]]:
        z = np.einsum("tbf,nf->tnb", hashes.planes, x)
        if family == "sign":
            z = z >= 0
        else:
            z = np.floor((z + (hashes.shifts * width)[:, None]) / width)
        return [[tuple(row) for row in table] for table in z]

    def mates(a: Any, b: Any) -> Any:
        tables = zip(a, b, strict=True)
        return np.array([[[p == q for q in u] for p in t] for t, u in tables])

    def covered(judged: Any, base: Any) -> float:
        across = mates(codes(judged), codes(base))
        if k == 0:
            return float(np.mean(across.sum(axis=2).max(axis=0) >= members))
        own = mates(codes(base), codes(base)).any(axis=0)
        np.fill_diagonal(own, False)
        apart = np.sort(np.where(own, _apart(base, base), np.inf), axis=1)
        radii = np.where(np.isfinite(apart[:, k - 1]), apart[:, k - 1], -1)
        inside = across.any(axis=0) & (_apart(judged, base) <= radii[None])
        return float(np.mean(inside.sum(axis=1) >= members))

    x, y = sets
    return {"precision": covered(y, x), "recall": covered(x, y)}
