"""Means over seeds with their uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Interval(NamedTuple):
    """A mean and its confidence interval, ``mean - half`` to ``mean + half``.

    Attributes:
      mean: the mean.
      half: half the width; NaN where there is a single value.
    """

    mean: float
    half: float


def mean_interval(
    values: Sequence[float] | np.ndarray, confidence: float = 0.95
) -> Interval:
    r"""Mean over seeds with Student's interval,
    :math:`\bar x \pm t_{n-1} s / \sqrt n`.

    Args:
      values: one value for each seed.
      confidence: probability that such an interval holds the true mean.

    Returns:
      The mean and half the width of the interval.

    >>> [round(x, 3) for x in mean_interval([1.0, 2.0, 3.0])]
    [2.0, 2.484]
    """
    x = np.asarray(values, np.float64)
    mean = float(np.mean(x))
    if x.size < 2:
        return Interval(mean, float("nan"))
    from scipy import stats

    t = float(stats.t.ppf(0.5 + confidence / 2, x.size - 1))
    return Interval(mean, t * float(np.std(x, ddof=1)) / x.size**0.5)


def bootstrap_interval(
    values: Sequence[float] | np.ndarray,
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval of a mean over seeds.

    For paired seeds, give the differences. With fewer than about ten values the
    interval is too narrow: five hold the mean in about 85 % of cases at 95 %.

    Args:
      values: one value for each seed.
      confidence: probability that such an interval should hold the true mean.
      resamples: number of resamples.
      seed: seed of the resampling.

    Returns:
      The ends of the interval; equal where all values are.

    >>> bootstrap_interval([2.0, 2.0, 2.0])
    (2.0, 2.0)
    """
    x = np.asarray(values, np.float64)
    chosen = np.random.default_rng(seed).integers(0, x.size, (resamples, x.size))
    outside = (1 - confidence) / 2
    low, high = np.quantile(x[chosen].mean(axis=1), [outside, 1 - outside])
    return float(low), float(high)
