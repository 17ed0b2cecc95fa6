"""A narrower floating type as a codec: no blocks and no scales."""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxopt_lab.core import errors
from jaxopt_lab.core.codecs.blocks import Granularity, Shape
from jaxopt_lab.core.codecs.codec import Codec, Range

Narrow = Literal["bfloat16", "float32", "float64"]
_KINDS = ("bfloat16", "float32", "float64")


@dataclasses.dataclass(frozen=True)
class Cast(Codec):
    """Elements in another floating type.

    bfloat16 is stored as its bits, uint16: a bfloat16 array that a loop updates costs
    4 bytes an element on XLA:CPU, its bits cost nothing. An array of the same type
    is returned unchanged. A key rounds to bfloat16 stochastically, and has no effect on
    the others.

    Attributes:
      dtype: ``"bfloat16"``, ``"float32"`` or ``"float64"``.
      block: unused.

    >>> Cast("bfloat16").encode(jnp.ones(2)).qvalue.dtype
    dtype('uint16')
    """

    dtype: Narrow = "bfloat16"
    block: Granularity = 1

    def __init__(self, dtype: Narrow = "bfloat16") -> None:
        if dtype not in _KINDS:
            raise errors.unknown("dtype", str(dtype), _KINDS)
        object.__setattr__(self, "dtype", dtype)
        object.__setattr__(self, "block", 1)

    @property
    def continuous(self) -> bool:  # type: ignore[override]
        return self.dtype != "bfloat16"

    def block_for(self, shape: Shape) -> int:
        del shape
        return 1

    def range_of(self, x: jax.Array) -> Range:
        return Range(None, None)

    def to_codes(self, x: jax.Array, at: Range, noise: jax.Array | None) -> jax.Array:
        if self.dtype != "bfloat16":
            return x.astype(self.dtype)
        if noise is None:
            return jax.lax.bitcast_convert_type(x.astype(jnp.bfloat16), jnp.uint16)
        bits = jax.lax.bitcast_convert_type(x.astype(jnp.float32), jnp.uint32)
        drawn = (noise.astype(jnp.float32) * 65536.0).astype(jnp.uint32)
        up = (bits + drawn) >> np.uint32(16)
        kept = jnp.where(jnp.isfinite(x), up, bits >> np.uint32(16))
        return kept.astype(jnp.uint16)

    def from_codes(self, codes: jax.Array, at: Range, dtype: DTypeLike) -> jax.Array:
        if self.dtype != "bfloat16":
            return codes.astype(dtype)
        bits = codes.astype(jnp.uint32) << np.uint32(16)
        return jax.lax.bitcast_convert_type(bits, jnp.float32).astype(dtype)
