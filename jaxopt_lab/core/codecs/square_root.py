"""Equal steps of the square root, for arrays without negative elements."""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.codecs.codec import Codec, Range, absmax, relative
from jaxopt_lab.core.errors import InputError

Bits = Literal[4, 8]


@dataclasses.dataclass(frozen=True)
class SquareRoot(Codec):
    r"""Codes in equal steps of the square root, unsigned.

    .. math::
        s = \sqrt{\max x}, \quad
        c = \mathrm{round}\big((\sqrt{x} / s) (2^b - 1)\big), \quad
        x \approx \big(c s / (2^b - 1)\big)^2

    It is the root of a second moment that a step divides by, so equal steps of it are
    the natural ones; but elements below (s / 2 (2^b - 1))^2 become zero.

    Attributes:
      block: elements that share a scale.
      bits: 8 or 4.
      round_up: round up instead of to the nearest: no element above zero becomes
        zero, and no step that divides by the root gets longer. Not with a key.

    bits / 8 + 4 / block bytes an element.
    """

    bits: Bits = 8
    round_up: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bits not in get_args(Bits):
            raise InputError(f"bits must be 4 or 8; got {self.bits!r}")

    @property
    def packed(self) -> bool:  # type: ignore[override]
        return self.bits == 4

    def range_of(self, x: jax.Array) -> Range:
        return Range(jnp.sqrt(absmax(x, self.axes)), None)

    def zero_code(self, at: Range) -> int:
        return 0

    def to_codes(self, x: jax.Array, at: Range, noise: jax.Array | None) -> jax.Array:
        assert at.scale is not None
        top = 2**self.bits - 1
        steps = relative(jnp.sqrt(jnp.abs(x)), at.scale) * top
        if self.round_up:
            # A decoded value must be encoded to its own code again, not to the next
            # one.
            whole = jnp.ceil(steps - 1e-3)
            whole = jnp.where((x > 0) & (whole < 1), jnp.ones_like(whole), whole)
        else:
            whole = jnp.round(steps) if noise is None else jnp.floor(steps + noise)
        return jnp.clip(whole, 0, top).astype(jnp.uint8)

    def from_codes(self, codes: jax.Array, at: Range, dtype: DTypeLike) -> jax.Array:
        assert at.scale is not None
        root = codes.astype(dtype) / (2**self.bits - 1) * at.scale.astype(dtype)
        return root * root
