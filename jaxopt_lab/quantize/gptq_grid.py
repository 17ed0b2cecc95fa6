"""The unsigned grid of GPTQ and QuantEase."""
# Its examples wait for pytest --full.

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from jaxopt_lab.core.division import quotient
from jaxopt_lab.quantize.grid import Grid
from jaxopt_lab.quantize.range_search import searched_range


@dataclasses.dataclass(frozen=True)
class GPTQGrid(Grid):
    r"""Unsigned codes from 0 to :math:`N = 2^{bits} - 1` on a range that contains 0.

    With :math:`l = \min(0, \min x)` and :math:`h = \max(0, \max x)`, or -1 and 1 where
    both are 0,

    .. math::
        s = (h - l) / N, \quad z = \mathrm{round}(-l / s), \quad
        q = \mathrm{clip}(\mathrm{round}(x / s) + z, 0, N),

    or, symmetric, with :math:`m = \max(-l, h)`, :math:`h = m`, :math:`l = -m` where
    :math:`l < 0`, and :math:`z = 2^{bits-1}`.

    Attributes:
      bits: as of every grid; likewise ``granularity``.
      symmetric: for parity with the published code. In a row without negative weights
        half of the codes are lost and the upper half of the range is cut off; a weight
        that was rounded once may be rounded to other values by a second fit.
      search: shrink the range to the ratio of 1, 0.99, ..., 0.21 with the smallest sum
        of :math:`|x - Q(x)|^{2.4}`; 80 passes over the weight.

    >>> grid = GPTQGrid(bits=2)
    >>> coded = grid.encode(jnp.array([[-1.0, 0.25, 2.0]]))
    >>> coded.qvalue.tolist(), coded.zero_point.tolist()
    ([[0, 1, 3]], [[1.0]])

    Source: Frantar, Ashkboos, Hoefler and Alistarh, "GPTQ", arXiv:2210.17323. Code
    followed: IST-DASLab/gptq.
    """

    symmetric: bool = False
    search: bool = dataclasses.field(default=False, kw_only=True)

    @property
    def codes(self) -> tuple[int, int]:
        return 0, 2**self.bits - 1

    def fit_axes(
        self, weight: jax.Array, axes: tuple[int, ...]
    ) -> tuple[jax.Array, jax.Array | None]:
        top = self.codes[1]
        low = jnp.minimum(jnp.min(weight, axis=axes, keepdims=True), 0)
        high = jnp.maximum(jnp.max(weight, axis=axes, keepdims=True), 0)
        if self.symmetric:
            high = jnp.maximum(-low, high)
            low = jnp.where(low < 0, -high, low)
        # The step of a subnormal range would be 0.
        none = high - low < jnp.finfo(weight.dtype).tiny * top
        low, high = jnp.where(none, -1, low), jnp.where(none, 1, high)

        def from_range(low: jax.Array, high: jax.Array) -> tuple[jax.Array, jax.Array]:
            scale = quotient(high - low, top)
            if self.symmetric:
                return scale, jnp.full_like(scale, 2 ** (self.bits - 1))
            return scale, jnp.round(quotient(-low, scale))

        if not self.search:
            return from_range(low, high)
        ratios = 1 - quotient(jnp.arange(80).astype(weight.dtype), 100)
        return searched_range(self, weight, axes, (low, high), from_range, ratios)

    def round(
        self, weight: jax.Array, scale: jax.Array, zero_point: jax.Array | None
    ) -> jax.Array:
        assert zero_point is not None
        return jnp.clip(jnp.round(quotient(weight, scale)) + zero_point, *self.codes)
