"""Slopes of learning rates against batch sizes, on logarithmic axes."""

from __future__ import annotations

import numpy as np

from experiments.studies.batch_hessian.config import Config


def slopes(batch_sizes: tuple[int, ...], rates: np.ndarray) -> np.ndarray:
    """Slopes of straight lines in a log-log plot, one for each seed.

    Args:
      batch_sizes: batch sizes.
      rates: learning rates, shape ``(batch sizes, seeds)``.

    Returns:
      The slopes of the seeds without a NaN; empty for a single batch size.
    """
    whole = whole_seeds(rates)
    if not whole.shape[1] or len(batch_sizes) < 2:
        return np.zeros(0)
    logs = np.log(np.asarray(batch_sizes, np.float64))
    return np.polyfit(logs, np.log(whole), 1)[0]


def whole_seeds(rates: np.ndarray) -> np.ndarray:
    """The columns of ``rates`` without a NaN, a rate at the end of its grid."""
    return rates[:, ~np.isnan(rates).any(axis=0)]


def halves(config: Config) -> tuple[slice, slice]:
    """The smaller and the larger batch sizes; the middle one belongs to both."""
    count = len(config.batch_sizes)
    return slice(0, (count + 2) // 2), slice(count // 2, count)
