"""Checks of features and labels that scores of transferability share."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxopt_lab.core.errors import InputError


def matrix(x: Any, name: str, *, least: int = 2) -> np.ndarray:
    """A finite matrix in float64.

    Args:
      x: ``(n, D)``, real.
      name: of the argument, for the error.
      least: the fewest rows.

    Returns:
      The array.

    Raises:
      InputError: it is none.

    >>> matrix([[1, 2], [3, 4]], "features").dtype
    dtype('float64')
    """
    array = np.asarray(x)
    if array.ndim != 2 or array.shape[1] < 1 or np.iscomplexobj(array):
        raise InputError(f"{name} must be real, of shape (n, D); got {array.shape}")
    if len(array) < least:
        raise InputError(f"{name} must have at least {least} rows; got {len(array)}")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise InputError(f"{name} must be finite")
    return array


def class_numbers(labels: Any, examples: int) -> tuple[np.ndarray, int]:
    """Labels as numbers from 0.

    Args:
      labels: ``(n,)``, numbers or texts.
      examples: the number of examples.

    Returns:
      ``((n,) integers, number of classes)``; classes that no example has do not count.

    Raises:
      InputError: the shape does not fit, or all labels are the same.

    >>> class_numbers(["b", "a", "b"], 3)[0].tolist()
    [1, 0, 1]
    """
    array = np.asarray(labels)
    if array.shape != (examples,):
        raise InputError(f"labels must have shape ({examples},); got {array.shape}")
    names, numbers = np.unique(array, return_inverse=True)
    if len(names) < 2:
        raise InputError(f"labels must have two classes; all are {names[0]}")
    return numbers, len(names)
