"""Inconsistency of the classes of a retrieval system at one threshold."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, SHARE, check_arguments
from jaxopt_lab.metrics.transfer_checks import class_numbers, matrix


class OperatingPoints(NamedTuple):
    """Result of ``operating_point_inconsistency``.

    Attributes:
      value: mean over thresholds of the variance of the utilities of the classes.
      worst: mean over thresholds of the squared difference between the mean utilities
        of the worst and of the best classes.
      utilities: ``(thresholds, classes)``.
      thresholds: ``(thresholds,)``, distances.
      left_out: number of classes of one example, which have no pairs.
    """

    value: float
    worst: float
    utilities: np.ndarray
    thresholds: np.ndarray
    left_out: int


def operating_point_inconsistency(
    embeddings: Any,
    labels: Any,
    *,
    far: tuple[float, float] = (1e-2, 1e-1),
    thresholds: Annotated[int, COUNT] = 101,
    worst: Annotated[float, SHARE] = 0.1,
    block: Annotated[int, COUNT] = 1024,
) -> OperatingPoints:
    r"""Operating-point inconsistency score (OPIS) of embeddings.

    With distances of unit vectors, a class i has at threshold t the sensitivity
    :math:`\phi_i`, the share of its pairs with a distance of at most t, the specificity
    :math:`\psi_i`, the share of pairs with one end in the class with a larger one, and
    the utility :math:`U_i = 2 \phi_i \psi_i / (\phi_i + \psi_i)`, 0 where both are 0:

    .. math:: \mathrm{OPIS} = \mathrm{mean}_t \, \mathrm{mean}_i
        (U_i(t) - \bar U(t))^2

    over equally spaced thresholds between those at which the rates of false acceptance
    of all pairs are the two of ``far``.

    Args:
      embeddings: ``(n, D)``, finite and not zero; only their directions count.
      labels: ``(n,)``, numbers or texts.
      far: lower and upper rate of false acceptance.
      thresholds: their number.
      worst: share of the classes, at least one, that are the worst and the best.
      block: rows of distances at a time.

    Returns:
      The score, 0 where all classes do alike at every threshold, and what it is made
      of. On the host in float64: twice :math:`n^2 D` operations, the distances of all
      pairs of two classes, and ``thresholds * classes`` numbers.

    Raises:
      InputError: shapes do not fit, an embedding is zero, fewer than two classes have
        two examples, or an option is out of range.

    Deviations: thresholds, utilities and rates follow a restatement by others; the form
    of ``worst`` is ours.

    Source: Zhang et al., "Learning for Transductive Threshold Calibration in Open-World
    Recognition" and "Threshold-Consistent Margin Loss for Open-World Deep Metric
    Learning", 2023 (https://arxiv.org/abs/2307.04047).

    >>> x = np.repeat(np.eye(3), 2, axis=0)
    >>> operating_point_inconsistency(x, [0, 0, 1, 1, 2, 2]).value
    0.0
    """
    chosen = {"thresholds": thresholds, "worst": worst, "block": block}
    check_arguments(operating_point_inconsistency, chosen)
    low, high = far
    if not 0 <= low <= high <= 1:
        raise InputError(f"far must be two rising shares of pairs; got {far}")
    x = matrix(embeddings, "embeddings")
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    if not norms.all():
        raise InputError(f"embedding {int(np.argmin(norms))} is zero")
    x = x / norms
    numbers, count = class_numbers(labels, len(x))
    sizes = np.bincount(numbers, minlength=count)
    if np.sum(sizes > 1) < 2:
        raise InputError("fewer than two classes have two examples")
    rows = range(0, len(x), block)
    other = []
    for start in rows:
        distances, equal, pairs = _block(x, numbers, start, block)
        other.append(distances[~equal & pairs])
    first, last = np.quantile(np.concatenate(other), far)
    del other
    points = np.linspace(first, last, thresholds)
    within, across = (np.zeros((thresholds, count)) for _ in range(2))
    for start in rows:
        distances, equal, pairs = _block(x, numbers, start, block)
        for at, found in ((equal & pairs, within), (~equal & pairs, across)):
            i, j = np.nonzero(at)
            # Pairs whose distance is at most a threshold, by the first such threshold.
            first = np.searchsorted(points, distances[i, j], side="left")
            for own in (numbers[start + i], numbers[j]):
                np.add.at(
                    found, (first[first < thresholds], own[first < thresholds]), 1
                )
    within, across = np.cumsum(within, axis=0) / 2, np.cumsum(across, axis=0)
    kept = sizes > 1
    phi = within[:, kept] / (sizes * (sizes - 1) / 2)[kept]
    psi = 1 - across[:, kept] / (sizes * (len(x) - sizes))[kept]
    total = phi + psi
    utilities = np.where(total > 0, 2 * phi * psi / np.where(total > 0, total, 1), 0.0)
    return OperatingPoints(
        float(np.mean(np.var(utilities, axis=1))),
        _worst(utilities, worst),
        utilities,
        points,
        int(np.sum(~kept)),
    )


def _block(
    x: np.ndarray, numbers: np.ndarray, start: int, block: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distances of some rows to all, equal labels, and each pair once."""
    own = x[start : start + block]
    cosines = np.clip(own @ x.T, -1, 1)
    # To a step above the rounding, so that equal distances are equal.
    distances = np.round(np.sqrt(np.maximum(2 - 2 * cosines, 0)), 7)
    equal = numbers[start : start + block, None] == numbers[None]
    place = start + np.arange(len(own))
    return distances, equal, place[:, None] < np.arange(len(x))[None]


def _worst(utilities: np.ndarray, share: float) -> float:
    order = np.argsort(utilities.mean(axis=0), kind="stable")
    number = max(1, int(np.floor(share * len(order))))
    low = utilities[:, order[:number]].mean(axis=1)
    high = utilities[:, order[-number:]].mean(axis=1)
    return float(np.mean((low - high) ** 2))
