"""8-bit floating point numbers with a scale for each block."""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxopt_lab.core import errors
from jaxopt_lab.core.codecs.codec import Codec, Range, absmax, relative
from jaxopt_lab.core.division import quotient

Float8 = Literal["float8_e4m3fn", "float8_e5m2"]
_KINDS = {"float8_e4m3fn": jnp.float8_e4m3fn, "float8_e5m2": jnp.float8_e5m2}


@dataclasses.dataclass(frozen=True)
class FloatingPoint8(Codec):
    r"""8-bit floats, the largest magnitude of each block at the end of their range.

    With F the largest float, s = max|x| / F and the code is the float nearest to x / s,
    halves to even.

    Stored are the bits, as uint8: they pass through any checkpoint, and XLA:CPU keeps
    them as they are (small floats that a loop carries it turns into float32).

    Attributes:
      block: elements that share a scale.
      dtype: ``"float8_e4m3fn"`` (4 bits of exponent, 3 of mantissa, up to 448) or
        ``"float8_e5m2"`` (up to 57344).

    1 + 4 / block bytes an element.
    """

    dtype: Float8 = "float8_e4m3fn"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dtype not in _KINDS:
            raise errors.unknown("dtype", str(self.dtype), _KINDS)

    @property
    def _kind(self) -> DTypeLike:
        return _KINDS[self.dtype]

    def range_of(self, x: jax.Array) -> Range:
        return Range(quotient(absmax(x, self.axes), jnp.finfo(self._kind).max), None)

    def zero_code(self, at: Range) -> int:
        return 0

    def to_codes(self, x: jax.Array, at: Range, noise: jax.Array | None) -> jax.Array:
        assert at.scale is not None
        value = relative(x, at.scale).astype(jnp.float32)
        bits = jax.lax.bitcast_convert_type(value.astype(self._kind), jnp.uint8)
        return bits if noise is None else self._neighbour(value, bits, noise)

    def _neighbour(self, value: jax.Array, bits: jax.Array, noise: jax.Array):
        """The nearest code or the next beyond ``value``, without bias."""
        a, sign = jnp.abs(value), bits & np.uint8(128)
        here = bits & np.uint8(127)

        def magnitude(code: jax.Array) -> jax.Array:
            kept = jax.lax.bitcast_convert_type(code, self._kind)
            return kept.astype(jnp.float32)

        # The bits of positive floats are in the order of their values.
        at, outwards = magnitude(here), a > magnitude(here)
        next_ = jnp.where(outwards, here + np.uint8(1), here - np.uint8(1))
        other = jnp.where(a == at, here, next_)
        gap = jnp.abs(magnitude(other) - at)
        part = jnp.abs(a - at) / jnp.where(gap == 0, jnp.ones_like(gap), gap)
        moves = noise.astype(jnp.float32) < jnp.where(gap == 0, 0.0, part)
        return sign | jnp.where(moves, other, here)

    def from_codes(self, codes: jax.Array, at: Range, dtype: DTypeLike) -> jax.Array:
        assert at.scale is not None
        value = jax.lax.bitcast_convert_type(codes, self._kind)
        return value.astype(dtype) * at.scale.astype(dtype)
