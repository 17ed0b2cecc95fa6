"""Whether stated deviations tell the errors: reliability, ranks, sparsification."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.metrics.rank_correlation import rank_correlation


class ErrorCalibration(NamedTuple):
    """Result of ``error_calibration``.

    Attributes:
      deviation: ``(bins,)``, root mean square of the stated deviations in each bin.
      error: ``(bins,)``, root mean square of the errors.
      counts: ``(bins,)``, predictions in each.
      gap: mean of the absolute differences of both, over the predictions.
      rank_correlation: Spearman's, of deviations and absolute errors; 0 if one of them
        is constant.
    """

    deviation: np.ndarray
    error: np.ndarray
    counts: np.ndarray
    gap: float
    rank_correlation: float


def error_calibration(
    errors: Any, deviations: Any, *, bins: Annotated[int, COUNT] = 10
) -> ErrorCalibration:
    """Stated deviations against the errors, in bins of as many predictions.

    Args:
      errors: predictions minus truth, of any shape, finite.
      deviations: likewise, at least 0.
      bins: their number, at most that of predictions.

    Returns:
      The reliability curve and two numbers. On the host in float64; one sort.

    Raises:
      InputError: shapes do not fit, there is nothing, or a value is out of range.

    Source: Levi, Gispan, Giladi and Fetaya, "Evaluating and Calibrating Uncertainty
    Prediction in Regression Tasks", 2019 (https://arxiv.org/abs/1905.11659).

    >>> found = error_calibration([0.1, -0.1, 2.0, -2.0], [0.1, 0.1, 2.0, 2.0], bins=2)
    >>> found.error.tolist(), round(found.gap, 6), round(found.rank_correlation, 6)
    ([0.1, 2.0], 0.0, 1.0)
    """
    check_arguments(error_calibration, {"bins": bins})
    sizes, stated = _pairs(errors, deviations)
    if bins > len(sizes):
        raise InputError(f"bins must be at most {len(sizes)}; got {bins}")
    parts = np.array_split(np.argsort(stated, kind="stable"), bins)
    rms = lambda x: np.array([np.sqrt(np.mean(x[part] ** 2)) for part in parts])
    deviation, error = rms(stated), rms(sizes)
    counts = np.array([len(part) for part in parts])
    gap = float(np.average(np.abs(deviation - error), weights=counts))
    return ErrorCalibration(
        deviation, error, counts, gap, rank_correlation(sizes, stated)
    )


class Sparsification(NamedTuple):
    """Result of ``sparsification``.

    Attributes:
      removed: ``(points,)``, shares that are removed, from 0.
      error: ``(points,)``, mean absolute error of the rest, the least certain removed
        first.
      oracle: ``(points,)``, likewise, the largest errors removed first.
      area: area between both curves, over the mean error; 0 is the best.
    """

    removed: np.ndarray
    error: np.ndarray
    oracle: np.ndarray
    area: float


def sparsification(
    errors: Any, deviations: Any, *, points: Annotated[int, COUNT] = 20
) -> Sparsification:
    """Error of what is left when the least certain predictions are removed.

    Args:
      errors: predictions minus truth, of any shape, finite.
      deviations: likewise, at least 0. Of equal ones the mean over their orders counts.
      points: shares from 0 to below 1.

    Returns:
      The curve, that of the best order, and the area between them (AUSE). Without
      errors all are 0. On the host in float64; two sorts.

    Raises:
      InputError: shapes do not fit, there is nothing, or a value is out of range.

    Source: Ilg et al., "Uncertainty Estimates and Multi-Hypotheses Networks for Optical
    Flow", 2018 (https://arxiv.org/abs/1802.07095).

    >>> sparsification([1.0, 2.0], [0.5, 3.0], points=2).area
    0.0
    """
    check_arguments(sparsification, {"points": points})
    sizes, stated = _pairs(errors, deviations)
    # Within equal deviations every error is their mean: the mean over all orders.
    _, group = np.unique(stated, return_inverse=True)
    means = np.bincount(group, weights=sizes) / np.bincount(group)
    by_deviation = means[group][np.argsort(stated, kind="stable")]
    removed = np.arange(points) / points
    left = len(sizes) - np.floor(removed * len(sizes)).astype(int)
    curve = lambda x: np.cumsum(x)[left - 1] / left
    error, oracle = curve(by_deviation), curve(np.sort(sizes))
    mean = sizes.mean()
    area = float(np.mean(error - oracle) / mean) if mean > 0 else 0.0
    return Sparsification(removed, error, oracle, max(area, 0.0))


def _pairs(errors: Any, deviations: Any) -> tuple[np.ndarray, np.ndarray]:
    found = []
    for name, x in (("errors", errors), ("deviations", deviations)):
        array = np.asarray(x)
        if np.iscomplexobj(array) or not array.size:
            raise InputError(f"{name} must be real numbers; got shape {array.shape}")
        array = array.astype(np.float64)
        if not np.isfinite(array).all():
            raise InputError(f"{name} must be finite")
        found.append(array)
    if found[0].shape != found[1].shape:
        raise InputError(
            "errors and deviations must have one shape; got "
            f"{found[0].shape} and {found[1].shape}"
        )
    if (found[1] < 0).any():
        raise InputError(f"deviations must be at least 0; got {found[1].min():g}")
    return np.abs(found[0]).ravel(), found[1].ravel()
