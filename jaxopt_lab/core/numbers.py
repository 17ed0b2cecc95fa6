"""Numbers of Python and NumPy, told from arrays, traced values and schedules."""

from __future__ import annotations

import sys
from typing import Any


def known_number(value: Any) -> bool | int | float | None:
    """The Python number that a value is.

    Args:
      value: anything.

    Returns:
      The number, if ``value`` is a real one of Python or NumPy (a scalar, or an array
      without axes, of any width); ``None`` otherwise, as for arrays of JAX, traced
      values and schedules, of which nothing is known when a function is built.

    >>> import numpy as np
    >>> known_number(np.int64(3)), known_number(np.float32(0.5)), known_number("3")
    (3, 0.5, None)
    """
    # The catalog loads no NumPy; without it nothing can be of it.
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.generic | numpy.ndarray):
        if value.ndim:
            return None
        if "float" in value.dtype.name:  # those of ml_dtypes are of no kind
            return float(value)
        return value.item() if value.dtype.kind in "biu" else None
    return value if isinstance(value, bool | int | float) else None


def is_whole(value: Any) -> bool:
    """Whether a value is an integer of Python or NumPy, and no boolean.

    Args:
      value: anything.

    Returns:
      A Python boolean.
    """
    number = known_number(value)
    return isinstance(number, int) and not isinstance(number, bool)


def may_be_scalar(value: Any) -> bool:
    """Whether a value can stand for a number: one itself, an array, or a schedule.

    Args:
      value: anything.

    Returns:
      False for booleans, text, sequences, complex numbers, random keys and other
      objects that give no real number.

    >>> import numpy as np
    >>> may_be_scalar(np.float32(1)), may_be_scalar(np.complex64(1))
    (True, False)
    """
    number = known_number(value)
    if number is not None:
        return not isinstance(number, bool)
    # A cast to the type of the parameters would drop the imaginary part.
    if str(getattr(value, "dtype", "")).startswith(("complex", "key<")):
        return False
    return callable(value) or hasattr(value, "dtype") or hasattr(value, "__jax_array__")
