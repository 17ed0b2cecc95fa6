"""Probabilities as integer frequencies, the same on every machine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jaxopt_lab.core.errors import InputError

Floats = NDArray[np.float64]


def integer_tables(pmf: Floats, precision: int) -> NDArray[np.int64]:
    """Ends of the intervals of symbols whose widths add up to 2^precision.

    Each symbol has the frequency 1 and its share of the rest, rounded down; what is
    left goes to the most probable one. Sums run from first to last and every operation
    is rounded as IEEE 754 says, so that equal numbers give equal tables anywhere.

    Args:
      pmf: ``(..., C)``, at least 0; a row that adds up to 0, or to no finite number, is
        taken for uniform.
      precision: of the code; C is at most 2^precision.

    Returns:
      ``(..., C + 1)``, from 0 to 2^precision, strictly increasing.

    Raises:
      InputError: there are more symbols than frequencies.

    >>> integer_tables(np.array([[0.5, 0.0, 0.5]]), 3).tolist()
    [[0, 4, 5, 8]]
    """
    classes, total = pmf.shape[-1], 1 << precision
    if classes > total:
        raise InputError(f"{classes} symbols do not fit in a precision of {precision}")
    pmf = np.where(pmf > 0, pmf, 0.0)
    sums = np.cumsum(pmf, axis=-1)[..., -1:]
    known = np.isfinite(sums) & (sums > 0)
    shares = np.where(known, pmf, 1.0) / np.where(known, sums, float(classes))
    widths = 1 + np.floor(shares * (total - classes)).astype(np.int64)
    # Rounding up in the quotient may give a few too many, too.
    best = np.argmax(widths, axis=-1)[..., None]
    left = total - np.sum(widths, axis=-1, keepdims=True)
    more = np.take_along_axis(widths, best, axis=-1) + left
    np.put_along_axis(widths, best, more, axis=-1)
    ends = np.cumsum(widths, axis=-1)
    return np.concatenate([np.zeros_like(ends[..., :1]), ends], axis=-1)
