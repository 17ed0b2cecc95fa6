"""Affine codes between the least and the largest number, by tensor or along an axis."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import Interval, check_arguments

_LARGEST = 3e4
_SHARE = 0.02
"""Ranges along an axis may be this many of the numbers themselves."""


class MinmaxCodes(NamedTuple):
    """Numbers as codes.

    Attributes:
      codes: whole numbers from 0 to 2^bits - 1, the shape of the numbers.
      low: the numbers of code 0, float16, with an axis of size 1 where they are shared.
      scale: steps, float16, likewise.
    """

    codes: jax.Array
    low: jax.Array
    scale: jax.Array

    def values(self) -> jax.Array:
        """The numbers of the codes, float32."""
        low, scale = (x.astype(jnp.float32) for x in (self.low, self.scale))
        return self.codes.astype(jnp.float32) * scale + low


def minmax_best_axis(
    x: jax.Array, *, bits: Annotated[int, Interval(1, 16)] = 8
) -> MinmaxCodes:
    """The codes of the least mean error, of one range or of one for each slice.

    Tried are one range for all numbers, and for each axis one for each of its slices if
    these ranges are at most 2 % of the numbers. Least numbers are rounded down to
    float16 and steps up, so that every number is within half a step of its code's.

    Args:
      x: real floating, finite, within float16's range; a concrete array.
      bits: of a code.

    Returns:
      The codes.

    Raises:
      InputError: no numbers, or some that float16 has no place for; or ``bits`` is out
        of range.

    >>> minmax_best_axis(jnp.array([0.0, 1.0, 3.0]), bits=2).codes.tolist()
    [0, 1, 3]

    Source: the code of HNeRV (haochen-rye/HNeRV).
    """
    check_arguments(minmax_best_axis, {"bits": bits})
    if not x.size or not jnp.issubdtype(x.dtype, jnp.floating):
        raise InputError(
            f"x must be floating numbers, at least one; got {x.dtype} of {x.shape}"
        )
    values = np.asarray(x, np.float64)
    if not np.all(np.abs(values) <= _LARGEST):
        raise InputError(f"x must be finite numbers of at most {_LARGEST:g}")
    tried = [_codes(values, None, bits)]
    for axis in range(values.ndim):
        if 1 < values.shape[axis] <= _SHARE * values.size:
            tried.append(_codes(values, axis, bits))
    errors = [np.mean(np.abs(_values(*one) - values)) for one in tried]
    return MinmaxCodes(*map(jnp.asarray, tried[int(np.argmin(errors))]))


def entropy_bits(codes: ArrayLike) -> float:
    """Bits that no code of single symbols is shorter than.

    Args:
      codes: whole numbers, of any shape.

    Returns:
      Minus the sum over the codes of the logarithms, to base 2, of their shares.

    >>> entropy_bits(jnp.array([0, 0, 1, 1])), entropy_bits(jnp.zeros(5, jnp.int32))
    (4.0, 0.0)
    """
    _, counts = np.unique(np.asarray(codes), return_counts=True)
    shares = counts / counts.sum()
    return float(max(0.0, -np.sum(counts * np.log2(shares))))


def _codes(x: NDArray[np.float64], axis: int | None, bits: int) -> tuple[Any, ...]:
    over = tuple(a for a in range(x.ndim) if a != axis)
    low, high = (f(x, axis=over, keepdims=True) for f in (np.min, np.max))
    levels = (1 << bits) - 1
    low = _rounded(low, np.less_equal, -np.inf)
    start = low.astype(np.float64)
    scale = _rounded((high - start) / levels, np.greater_equal, np.inf)
    step = scale.astype(np.float64)
    place = np.where(step > 0, (x - start) / np.where(step > 0, step, 1), 0)
    codes = np.clip(np.round(place), 0, levels).astype(np.int32)
    return codes, low, scale


def _values(codes: Any, low: Any, scale: Any) -> NDArray[np.float32]:
    return codes.astype(np.float32) * scale.astype(np.float32) + low.astype(np.float32)


def _rounded(x: NDArray[np.float64], right: Any, towards: float) -> NDArray[np.float16]:
    """The nearest number of float16 on one side."""
    near = x.astype(np.float16)
    return np.where(right(near, x), near, np.nextafter(near, np.float16(towards)))
