"""Tensors of other libraries as arrays of NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxopt_lab.core.errors import InputError


def as_numpy(value: Any, where: str) -> np.ndarray:
    """A value as an array of NumPy, without a copy where that can be.

    Args:
      value: numbers, an array, or a tensor of another library on the host.
      where: its place, for the message.

    Returns:
      The array.

    Raises:
      InputError: it cannot become one, such as a tensor of torch in bfloat16, on
        another device, or with a gradient.

    >>> as_numpy([1, 2], "labels").tolist()
    [1, 2]
    """
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        kind = f"{type(value).__module__}.{type(value).__name__}"
        dtype = getattr(value, "dtype", None)
        of = "" if dtype is None else f" of {dtype}"
        said = str(error).partition("\n")[0].rstrip(".")
        raise InputError(
            f"{where}: {kind}{of} is no array of NumPy ({said}); accepted: what "
            "numpy.asarray takes, of torch tensor.detach().cpu(), bfloat16 as .float()"
        ) from error
