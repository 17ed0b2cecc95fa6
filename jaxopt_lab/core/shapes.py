"""Shapes that stay known where an axis is empty."""

from __future__ import annotations

import math
from typing import Any

from jaxopt_lab.core.errors import InputError


def flattened(x: Any, start: int = 1) -> Any:
    """An array with all axes from one on as a single one.

    The size is written out: a reshape to -1 of an array without examples divides by
    zero.

    Args:
      x: an array of JAX or NumPy with at least ``start`` axes.
      start: number of axes that stay.

    Returns:
      The array, of ``start + 1`` axes.

    >>> import numpy as np
    >>> flattened(np.zeros((0, 2, 3))).shape, flattened(np.zeros(4)).shape
    ((0, 6), (4, 1))
    """
    return x.reshape(*x.shape[:start], math.prod(x.shape[start:]))


def refuse_empty(name: str, x: Any) -> None:
    """Refuse an array without examples.

    Args:
      name: of the argument.
      x: an array of at least one axis.

    Raises:
      InputError: its first axis has the length 0.

    >>> import numpy as np
    >>> refuse_empty("features", np.zeros((0, 3)))
    Traceback (most recent call last):
      ...
    jaxopt_lab.core.errors.InputError: features must hold at least one example; got \
shape (0, 3)
    """
    if not x.shape[0]:
        raise InputError(f"{name} must hold at least one example; got shape {x.shape}")
