"""Values of arrays that can be looked at while a function runs in Python."""

from __future__ import annotations

from typing import Any

import numpy as np
from jax.core import Tracer


def known_values(x: Any) -> np.ndarray | None:
    """The numbers of an array, where this process knows them.

    Args:
      x: an array of JAX or NumPy, or a number.

    Returns:
      The array; ``None`` for a traced one, and for one of which other processes hold
      parts: a check of values passes both by.

    >>> known_values(np.arange(2)).tolist()
    [0, 1]
    """
    if isinstance(x, Tracer) or not getattr(x, "is_fully_addressable", True):
        return None
    return np.asarray(x)


def out_of_range(labels: np.ndarray, classes: int, where: Any = None) -> np.ndarray:
    """The labels that are no classes.

    Args:
      labels: known integers, any shape.
      classes: number of classes.
      where: of the shape of the labels; those where it is 0 do not count.

    Returns:
      ``(n,)``, empty if all are classes.

    >>> out_of_range(np.array([0, 3, -1]), 3, np.array([1, 1, 0])).tolist()
    [3]
    """
    wrong = (labels < 0) | (labels >= classes)
    return labels[wrong if where is None else wrong & (np.asarray(where) != 0)]
