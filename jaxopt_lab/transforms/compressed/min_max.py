"""Four bits between the smallest and the largest element of a block."""
# Its examples wait for pytest --full.

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.codecs import Codec
from jaxopt_lab.core.codecs.codec import Range
from jaxopt_lab.core.division import quotient

LEVELS = 15


@dataclasses.dataclass(frozen=True)
class MinMax4(Codec):
    r"""The codec of MicroAdam's error: 16 equal steps from minimum to maximum.

    .. math::
        u = (\max x - \min x) / 15, \quad
        c = \lfloor (x - \min x) / u + 1/2 \rfloor, \quad x \approx c u + \min x,

    and c = 0 where u = 0. Minimum and maximum are stored as ``EncodedArray.scale`` and
    ``EncodedArray.offset``: as the bits of bfloat16 (uint16), and of a float64 array as
    they are. Rounded to bfloat16 they need not enclose the block, so codes are clipped.

    Attributes:
      block: elements that share a range.

    The derivative is the true one: codes are constant almost everywhere, minimum and
    maximum (in float64) carry it. 1/2 + 4 / block bytes an element.

    Reference: Modoranu et al., "MicroAdam: Accurate Adaptive Optimization with Low
    Space Overhead and Provable Convergence", NeurIPS 2024, arXiv:2405.15593.

    >>> coded = MinMax4(64).encode(jnp.linspace(0.0, 15.0, 64))
    >>> coded.qvalue.shape, coded.scale.dtype
    ((32,), dtype('uint16'))
    """

    block: int | str = 64  # type: ignore[assignment]

    packed = True  # type: ignore[misc]
    # The codes are not, but what the derivative passes through is.
    continuous = True  # type: ignore[misc]

    def range_of(self, x: jax.Array) -> Range:
        low, high = smallest(x, self.axes), -smallest(-x, self.axes)
        return Range(narrowed(low), narrowed(high))

    def to_codes(self, x: jax.Array, at: Range, noise: jax.Array | None) -> jax.Array:
        low, step = self._steps(at, x.dtype)
        none = jnp.full_like(step, jnp.inf)
        level = jax.lax.stop_gradient(x) - low
        level = quotient(level, jnp.where(step == 0, none, step))
        level = jnp.floor(level + (0.5 if noise is None else noise))
        top = jnp.asarray(LEVELS, x.dtype)
        # Comparisons instead of a maximum: XLA:CPU makes several instructions of one.
        level = jnp.where(level > 0, level, jnp.zeros_like(level))
        return jnp.where(level < top, level, top).astype(jnp.uint8)

    def from_codes(self, codes: jax.Array, at: Range, dtype: DTypeLike) -> jax.Array:
        low, step = self._steps(at, dtype, constant=False)
        return codes.astype(dtype) * step + low

    def _steps(
        self, at: Range, dtype: DTypeLike, constant: bool = True
    ) -> tuple[jax.Array, jax.Array]:
        assert at.scale is not None and at.offset is not None
        low, high = (widened(x, dtype) for x in (at.scale, at.offset))
        if constant:
            low, high = jax.lax.stop_gradient((low, high))
        spread = high - low
        # Not a constant: XLA would multiply with its reciprocal, and of bfloat16 sums
        # many lie on an edge between two codes, where the last bit decides.
        return low, spread / jnp.where(spread == 0, 1, LEVELS).astype(dtype)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def smallest(x: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    """The minimum over the last axes; its derivative is that of the first such element.

    The derivative of ``jnp.min`` looks for the elements that equal the minimum. Where
    the compiler computes them again and rounds them otherwise, it finds none, and
    divides zero by their number.

    Args:
      x: real array.
      axes: its last axes, counted from the end.

    Returns:
      The minima, with axes of length 1.

    >>> x = jnp.array([[3.0, 1.0, 1.0]])
    >>> jax.grad(lambda x: smallest(x, (-1,))[0, 0])(x).tolist()
    [[0.0, 1.0, 0.0]]
    """
    return jnp.min(x, axis=axes, keepdims=True)


@smallest.defjvp
def _smallest_jvp(axes: Any, primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    front = x.shape[: x.ndim - len(axes)]
    at = jnp.argmin(x.reshape(*front, -1), axis=-1, keepdims=True)
    slopes = dx.reshape(*front, -1)
    slope = jnp.take_along_axis(slopes, at, axis=-1, mode="promise_in_bounds")
    return smallest(x, axes), slope.reshape(*front, *(1 for _ in axes))


def narrowed(x: jax.Array) -> jax.Array:
    """Numbers in two bytes each, unless they are float64.

    Args:
      x: float32 or float64.

    Returns:
      The bits of bfloat16 as uint16, since a bfloat16 array that a loop updates
      costs 4 bytes an element on XLA:CPU; or ``x`` itself.

    >>> narrowed(jnp.float32(1.0)).dtype
    dtype('uint16')
    """
    if x.dtype == jnp.float64:
        return x
    return jax.lax.bitcast_convert_type(x.astype(jnp.bfloat16), jnp.uint16)


def widened(x: jax.Array, dtype: DTypeLike) -> jax.Array:
    """The numbers that ``narrowed`` has stored.

    Args:
      x: what it gave.
      dtype: floating type of the result.

    Returns:
      Array of the same shape.
    """
    if x.dtype != jnp.uint16:
        return x.astype(dtype)
    bits = x.astype(jnp.uint32) << jnp.uint32(16)
    return jax.lax.bitcast_convert_type(bits, jnp.float32).astype(dtype)
