"""Equal steps: the linear quantizer of the quantized pre-training study."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.codecs.blocks import Granularity
from jaxopt_lab.core.codecs.codec import Codec, Range, absmax
from jaxopt_lab.core.division import quotient
from jaxopt_lab.core.errors import InputError

Bits = Literal[4, 8]


@dataclasses.dataclass(frozen=True)
class Linear(Codec):
    r"""Codes in equal steps, symmetric around zero or from the smallest to the largest.

    With Q = 2^(bits - 1) - 1 and r the smallest range:

    .. math::
        s = \max(\max|x|, r) / Q, \quad
        c = \mathrm{round}(\mathrm{clip}(x / s, -Q - 1, Q)), \quad x \approx c s

    or, not symmetric,

    .. math::
        s = \max(\max x - \min x, r) / 2Q, \quad
        z = \mathrm{round}(\min x / s + Q + 1), \quad
        c = \mathrm{round}(\mathrm{clip}(x / s - z, -Q - 1, Q)), \quad
        x \approx (c + z) s.

    Halves are rounded to even. Stored is c + Q + 1, from 0 to 2^bits - 1.

    Attributes:
      block: elements that share a step; the default is the last axis.
      bits: 8 or 4.
      symmetric: whether the codes lie around zero.
      min_range: r, the smallest range; units of the array.

    A fine codec for first moments and a bad one for second moments, whose small
    elements become zero. bits / 8 + 4 / block bytes an element, 8 / block if not
    symmetric.

    Reference: Chitsaz, Fournier, Mordido and Chandar, "Exploring Quantization for
    Efficient Pre-Training of Transformer Language Models", arXiv:2407.11722. Code
    followed: chandar-lab/EfficientLLMs; its per-group form reads an attribute that
    does not exist, ours takes the largest magnitude of the block.
    """

    block: Granularity = "row"
    bits: Bits = 8
    symmetric: bool = True
    min_range: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bits not in get_args(Bits):
            raise InputError(f"bits must be 4 or 8; got {self.bits!r}")
        if not self.min_range > 0:
            raise InputError(f"min_range must be above 0; got {self.min_range!r}")

    @property
    def packed(self) -> bool:  # type: ignore[override]
        return self.bits == 4

    @property
    def _top(self) -> int:
        return 2 ** (self.bits - 1) - 1

    def range_of(self, x: jax.Array) -> Range:
        least = jnp.asarray(self.min_range, x.dtype)
        if self.symmetric:
            largest = jnp.maximum(absmax(x, self.axes), least)
            return Range(quotient(largest, self._top), None)
        low = jnp.min(x, axis=self.axes, keepdims=True)
        spread = jnp.max(x, axis=self.axes, keepdims=True) - low
        step = quotient(jnp.maximum(spread, least), 2 * self._top)
        return Range(step, jnp.round(quotient(low, step) + (self._top + 1)))

    def zero_code(self, at: Range) -> Any:
        zero = self._top + 1
        return zero if at.offset is None else zero - at.offset

    def to_codes(self, x: jax.Array, at: Range, noise: jax.Array | None) -> jax.Array:
        assert at.scale is not None
        steps = quotient(x, at.scale)
        if at.offset is not None:
            steps = steps - at.offset
        steps = jnp.clip(steps, -self._top - 1, self._top)
        whole = jnp.round(steps) if noise is None else jnp.floor(steps + noise)
        whole = jnp.clip(whole, -self._top - 1, self._top)
        return (whole + (self._top + 1)).astype(jnp.uint8)

    def from_codes(self, codes: jax.Array, at: Range, dtype: DTypeLike) -> jax.Array:
        assert at.scale is not None
        value = codes.astype(dtype) - jnp.asarray(self._top + 1, dtype)
        if at.offset is not None:
            value = value + at.offset.astype(dtype)
        return value * at.scale.astype(dtype)
