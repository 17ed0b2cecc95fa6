"""Rank statistics of two lists on the host: Kendall's correlation, the ROC area."""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np

from jaxopt_lab.core.errors import InputError


def kendall_tau(a: Any, b: Any) -> float:
    r"""Kendall's tau-b of two lists of numbers.

    .. math:: \tau_b = \frac{C - D}{\sqrt{(P - T_a)(P - T_b)}}

    with concordant and discordant pairs C and D of all P pairs, and pairs tied in one
    list T.

    Args:
      a: ``(n,)`` real.
      b: ``(n,)`` real.

    Returns:
      A number from -1 to 1; NaN if a number is NaN, or if a list is constant. O(n log
      n) time, by counting the inversions of a merge sort.

    Raises:
      InputError: the lists are not of one length, or have fewer than two numbers.

    >>> kendall_tau([1, 2, 3], [10, 20, 30]), kendall_tau([1, 2, 3], [1, 3, 2])
    (1.0, 0.3333333333333333)
    """
    x, y = (np.asarray(jax.device_get(v), np.float64) for v in (a, b))
    if x.ndim != 1 or x.shape != y.shape or len(x) < 2:
        raise InputError(
            "rank correlation takes two lists of one length, at least 2; got "
            f"{x.shape} and {y.shape}"
        )
    if np.isnan(x).any() or np.isnan(y).any():
        return math.nan
    order = np.lexsort((y, x))
    x, y = x[order], y[order]
    pairs = len(x) * (len(x) - 1) // 2
    ties = [_tied(v) for v in (x[:, None], np.sort(y)[:, None], np.stack([x, y], 1))]
    # Pairs tied in a are sorted by b: they are no inversions.
    swaps = _inversions(y)
    left, right = pairs - ties[0], pairs - ties[1]
    if not left or not right:
        return math.nan
    gap = pairs - ties[0] - ties[1] + ties[2] - 2 * swaps
    # Two roots, so that equal lists give 1 exactly.
    return gap / (math.sqrt(left) * math.sqrt(right)) if left != right else gap / left


def roc_area(low: Any, high: Any) -> float:
    r"""The area under the receiver operating characteristic of a score.

    .. math:: \operatorname{mean}_{ij} [h_j > l_i] + \tfrac 12 [h_j = l_i]

    Args:
      low: scores of the class that should have the lower ones, ``(n,)`` real.
      high: of the other class, ``(m,)`` real.

    Returns:
      A number from 0 to 1, 1/2 for scores that tell nothing; NaN if a score is NaN.
      O((n + m) log n) time.

    Raises:
      InputError: a list is empty, or has more than one axis.

    >>> roc_area([0.0, 1.0], [1.0, 2.0])
    0.875
    """
    a, b = (np.asarray(jax.device_get(v), np.float64) for v in (low, high))
    if a.ndim != 1 or b.ndim != 1 or not a.size or not b.size:
        raise InputError(
            f"the ROC area takes two lists of scores; got {a.shape} and {b.shape}"
        )
    if np.isnan(a).any() or np.isnan(b).any():
        return math.nan
    a = np.sort(a)
    # Ties are counted in one of the two, so that they count half of the sum.
    below = sum(int(np.searchsorted(a, b, side).sum()) for side in ("left", "right"))
    return below / (2 * a.size * b.size)


def _tied(rows: np.ndarray) -> int:
    new = np.any(rows[1:] != rows[:-1], axis=1)
    sizes = np.diff(np.flatnonzero(np.concatenate([[True], new, [True]])))
    return int(np.sum(sizes * (sizes - 1) // 2))


def _inversions(y: np.ndarray) -> int:
    """Pairs i < j with y[i] > y[j]."""
    if len(y) < 2:
        return 0
    half = len(y) // 2
    left, right = y[:half], y[half:]
    below = np.searchsorted(np.sort(right), left, side="left")
    return _inversions(left) + _inversions(right) + int(below.sum())
