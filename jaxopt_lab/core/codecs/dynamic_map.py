"""Dynamic maps: codes whose spacing grows with the magnitude, decade by decade.

The 8-bit map spans seven decades and the signed 4-bit map three. In decade i of D
there are 2^i codes (2^(i+1) unsigned), at the middles of equal bins of
[0.1, 1] 10^(i - D + 1), besides 0 and 1. The code of x is that of the value nearest to
x / s in magnitude, of two equally near ones the larger, with s the largest magnitude of
the block. Within a decade the midpoints between values are equally spaced, so that a
code is found by comparisons with the D decades and a line: no search.
"""
# Its examples wait for pytest --full.

from __future__ import annotations

import dataclasses
import functools
from typing import ClassVar, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxopt_lab.core.codecs import decades
from jaxopt_lab.core.codecs.codec import Codec, Range, absmax, relative
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.platforms import traced_for

Bits = Literal[4, 8]


def _decades(bits: Bits) -> int:
    return 7 if bits == 8 else 3


@functools.cache
def magnitudes(bits: Bits, signed: bool) -> np.ndarray:
    """The map's non-negative values in ascending order, float64.

    Args:
      bits: 8 or 4.
      signed: whether half of the codes are for negative numbers.

    Returns:
      From 0 (but for unsigned 4 bits, which have no zero) to 1.

    >>> magnitudes(4, True).round(4).tolist()
    [0.0, 0.0055, 0.0325, 0.0775, 0.2125, 0.4375, 0.6625, 0.8875, 1.0]
    """
    if bits == 4 and not signed:
        return np.arange(1, 17) / 16
    values = [np.zeros(1)]
    for i in range(_decades(bits)):
        edges = np.linspace(0.1, 1.0, 2 ** (i + (not signed)) + 1)
        values.append((edges[:-1] + edges[1:]) / 2 * 10.0 ** (i - _decades(bits) + 1))
    return np.concatenate([*values, np.ones(1)])


@functools.cache
def table(bits: Bits, signed: bool) -> np.ndarray:
    """The value of every code in ascending order, float64.

    Args:
      bits: 8 or 4.
      signed: whether half of the codes are for negative numbers.

    Returns:
      ``2 ** bits`` values; signed there is a 1 but no -1.
    """
    values = magnitudes(bits, signed)
    return np.concatenate([-values[-2:0:-1], values]) if signed else values


@functools.cache
def thresholds(bits: Bits, signed: bool) -> np.ndarray:
    """The smallest float32 that is rounded up to each of ``magnitudes``.

    Args:
      bits: 8 or 4.
      signed: which map.

    Returns:
      float32, one shorter than ``magnitudes``: the midpoint between two neighbours, or
      the next float32 above it.

    >>> thresholds(4, False)[:3].tolist()
    [0.09375, 0.15625, 0.21875]
    """
    values = magnitudes(bits, signed)
    exact = (values[1:] + values[:-1]) / 2
    found = exact.astype(np.float32)
    return np.where(found < exact, np.nextafter(found, np.float32(2)), found)


def nearest(a: jax.Array, bits: Bits, signed: bool) -> jax.Array:
    """Index in ``magnitudes`` of the nearest one, as a whole float32.

    Args:
      a: float32 in [0, 1].
      bits: 8 or 4.
      signed: which map.

    Returns:
      The indices, of a midpoint the upper one; of NaN an arbitrary one.
    """
    if bits == 8:
        # A table would take half of a step's time on a CPU, on a TPU far more.
        return decades.index_of(a, _starts(signed), signed)
    if not signed:
        index = jnp.floor(a * 16 + np.float32(0.5)) - 1
        return jnp.where(index < 0, jnp.zeros_like(index), index)
    index = jnp.zeros_like(a)
    for least in thresholds(bits, signed):
        index = index + (a >= least).astype(a.dtype)
    return index


@functools.cache
def _starts(signed: bool) -> np.ndarray:
    """The least float32 that is rounded to each decade of the 8-bit map, and to 1."""
    first = 0 if signed else 1
    return thresholds(8, signed)[[2 ** (i + first) - first - 1 for i in range(8)]]


def _bytes(whole: jax.Array) -> jax.Array:
    """Whole float32 numbers from 0 to 255 as uint8, without the checks of a cast."""
    # From 2^23 on a float32 is its own last bits.
    bits = jax.lax.bitcast_convert_type(whole + np.float32(2**23), jnp.uint32)
    return bits.astype(jnp.uint8)


@dataclasses.dataclass(frozen=True)
class _Dynamic(Codec):
    signed: bool = True

    bits: ClassVar[Bits] = 8

    def range_of(self, x: jax.Array) -> Range:
        return Range(absmax(x, self.axes), None)

    def zero_code(self, at: Range) -> int | None:
        if self.signed:
            return 2 ** (self.bits - 1) - 1
        return 0 if self.bits == 8 else None

    def to_codes(self, x: jax.Array, at: Range, noise: jax.Array | None) -> jax.Array:
        assert at.scale is not None
        value = relative(x, at.scale).astype(jnp.float32)
        a = jnp.abs(value) if self.signed else value
        index = nearest(a, self.bits, self.signed)
        if noise is not None:
            index = self._neighbour(a, index, noise)
        if not self.signed:
            return _bytes(index)
        zero = np.float32(2 ** (self.bits - 1) - 1)
        code = zero + jnp.where(value < 0, -index, index)
        # There is a code for 1 and none for -1.
        return _bytes(jnp.where(code < 0, jnp.zeros_like(code), code))

    def _neighbour(self, a: jax.Array, index: jax.Array, noise: jax.Array) -> jax.Array:
        """The nearest index or its neighbour beyond ``a``, without bias."""
        here, value = index.astype(jnp.int32), self._magnitude(index)
        last = len(magnitudes(self.bits, self.signed)) - 1
        other = jnp.clip(here + jnp.where(a > value, 1, -1), 0, last)
        gap = jnp.abs(self._magnitude(other.astype(index.dtype)) - value)
        part = jnp.abs(a - value) / jnp.where(gap == 0, jnp.ones_like(gap), gap)
        moves = noise.astype(a.dtype) < jnp.where(gap == 0, jnp.zeros_like(a), part)
        return jnp.where(moves, other, here).astype(index.dtype)

    def from_codes(self, codes: jax.Array, at: Range, dtype: DTypeLike) -> jax.Array:
        assert at.scale is not None
        if self.bits == 4 and not self.signed:
            return (codes.astype(dtype) + 1) * (at.scale.astype(dtype) / 16)
        if traced_for(codes) == "tpu" and dtype == jnp.float32:
            number = codes.astype(jnp.float32)
            if not self.signed:
                return self._magnitude(number) * at.scale
            number = number - np.float32(2 ** (self.bits - 1) - 1)
            value = self._magnitude(jnp.abs(number))
            return jnp.where(number < 0, -value, value) * at.scale
        values = jnp.asarray(table(self.bits, self.signed), dtype)
        # Every byte is a valid code, so no check of the bounds.
        value = values.at[codes].get(mode="promise_in_bounds")
        return value * at.scale.astype(dtype)

    def _magnitude(self, index: jax.Array) -> jax.Array:
        """``magnitudes`` at whole float32 numbers."""
        if traced_for(index) == "tpu" and (self.bits == 8 or self.signed):
            return decades.magnitude(index, _decades(self.bits), self.signed)
        values = jnp.asarray(magnitudes(self.bits, self.signed), index.dtype)
        return values[index.astype(jnp.int32)]


@dataclasses.dataclass(frozen=True)
class Dynamic8(_Dynamic):
    """The 8-bit dynamic map, scaled by the largest magnitude of each block.

    Attributes:
      block: elements that share a scale.
      signed: ``False`` for arrays without negative elements: twice the resolution.

    Relative error at most 8 % of an element down to 1e-5 of the largest in its block;
    the smallest non-zero magnitudes are 5.5e-7 (signed) and 3.25e-7 (unsigned) of it.
    Signed, the element with the largest magnitude keeps it if it is positive and
    becomes 0.993 of it if negative. 1 + 4 / block bytes an element.

    >>> import jax.numpy as jnp
    >>> codec = Dynamic8()
    >>> coded = codec.encode(jnp.array([1.0, -0.5, 0.0]))
    >>> [round(float(x), 3) for x in codec.decode(coded, (3,), jnp.float32)]
    [1.0, -0.501, 0.0]
    """


@dataclasses.dataclass(frozen=True)
class Dynamic4(_Dynamic):
    """The 4-bit dynamic map (signed), or equal steps without a zero (unsigned).

    Attributes:
      block: elements that share a scale.
      signed: ``False`` for arrays without negative elements: multiples of 1/16 of
        the largest, from 1/16 on. There is no code for zero: a second moment that
        became zero would divide by it.

    1/2 + 4 / block bytes an element.
    """

    block: int | Literal["row", "tensor"] = 128

    bits: ClassVar[Bits] = 4
    packed: ClassVar[bool] = True


def dynamic(bits: Bits = 8, *, block: int | None = None, signed: bool = True) -> Codec:
    """A dynamic map by its width.

    Args:
      bits: 8 or 4.
      block: elements that share a scale; 256 for 8 bits and 128 for 4.
      signed: ``False`` for arrays without negative elements.

    Returns:
      The codec.

    Raises:
      InputError: there is no such width.
    """
    if bits not in get_args(Bits):
        raise InputError(f"bits must be 4 or 8; got {bits!r}")
    kind = Dynamic8 if bits == 8 else Dynamic4
    return kind(signed=signed) if block is None else kind(block=block, signed=signed)
