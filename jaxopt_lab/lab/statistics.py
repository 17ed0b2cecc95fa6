"""Means over seeds or examples with their uncertainty."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab.paired_tests import critical


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
    half = float(critical(x.size, 1 - confidence)) * float(np.std(x, ddof=1))
    return Interval(mean, half / x.size**0.5)


def geometric_interval(
    values: np.ndarray, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Geometric mean over seeds with Student's interval of the logarithms.

    Args:
      values: one for each seed, above 0.
      confidence: probability that such an interval holds the true one.

    Returns:
      The mean, the lower and the upper end; NaN where a value is not above 0.

    >>> [round(x, 3) for x in geometric_interval(np.array([1.0, 4.0]), 0.5)]
    [2.0, 1.0, 4.0]
    """
    if not np.all(values > 0):
        return math.nan, math.nan, math.nan
    mean, half = mean_interval(np.log(values), confidence)
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)


FEWEST_EXAMPLES = 100
"""Test examples that a bootstrap interval needs."""
_DRAWN = 1 << 21  # indices at once: 16 MB


def bootstrap_interval(
    values: Sequence[float] | np.ndarray,
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval of a mean over test examples.

    Not over seeds: five values hold the mean in about 85 % of cases at 95 %. For
    examples that two methods share, give the differences.

    Args:
      values: one value for each example.
      confidence: probability that such an interval should hold the true mean.
      resamples: number of resamples.
      seed: seed of the resampling.

    Returns:
      The ends of the interval; equal where all values are.

    Raises:
      InputError: fewer than 100 values.

    >>> bootstrap_interval(np.full(100, 2.0))
    (2.0, 2.0)
    """
    x = np.asarray(values, np.float64)
    if x.size < FEWEST_EXAMPLES:
        raise InputError(
            f"a bootstrap needs at least {FEWEST_EXAMPLES} values; got {x.size}: use "
            "mean_interval"
        )
    rng, rows = np.random.default_rng(seed), max(1, _DRAWN // x.size)
    means = [
        x[rng.integers(0, x.size, (min(rows, resamples - done), x.size))].mean(axis=1)
        for done in range(0, resamples, rows)
    ]
    outside = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(means), [outside, 1 - outside])
    return float(low), float(high)
