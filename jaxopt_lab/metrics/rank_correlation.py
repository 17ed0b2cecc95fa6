"""Spearman's rank correlation, 0 where it is not defined."""

from __future__ import annotations

import numpy as np


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation, of ties the mean rank.

    Args:
      a: ``(n,)``.
      b: ``(n,)``.

    Returns:
      From -1 to 1; 0 if all entries of one are the same.

    >>> round(rank_correlation(np.array([1, 2, 3]), np.array([1, 8, 9])), 6)
    1.0
    """
    from scipy.stats import rankdata

    ranks = [rankdata(v) - (len(v) + 1) / 2 for v in (a, b)]
    norms = [float(np.linalg.norm(v)) for v in ranks]
    if min(norms) == 0:
        return 0.0
    return float(ranks[0] @ ranks[1] / (norms[0] * norms[1]))
