"""The grid of ZeroQ, from the smallest to the largest value."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from jaxopt_lab.core.division import quotient
from jaxopt_lab.quantize.grid import Grid


@dataclasses.dataclass(frozen=True)
class ZeroQGrid(Grid):
    r"""Signed codes between the ends of the data, which need not contain 0.

    With :math:`S = (2^{bits} - 1) / \max(\max x - \min x, 10^{-8})`,

    .. math::
        z = -\mathrm{round}(S \min x) - 2^{bits-1}, \quad
        q = \mathrm{clip}(\mathrm{round}(S x + z), -2^{bits-1}, 2^{bits-1} - 1),

    and the values are :math:`(q - z) / S`. The weight is multiplied by S, where the
    other grids divide by the step.

    Attributes:
      bits: as of every grid; likewise ``granularity`` and ``group_size``.
      symmetric: must be False.

    >>> coded = ZeroQGrid(bits=2).encode(jnp.array([[1.0, 2.0, 4.0]]))
    >>> coded.qvalue.tolist(), coded.dequantize().tolist()
    ([[-2, -1, 1]], [[1.0, 2.0, 4.0]])

    Source: Cai, Yao, Dong, Gholami, Mahoney and Keutzer, "ZeroQ", arXiv:2001.00281.
    Code followed: amirgholami/ZeroQ.
    """

    symmetric: bool = False

    @property
    def codes(self) -> tuple[int, int]:
        return -(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1

    def fit_axes(
        self, weight: jax.Array, axes: tuple[int, ...]
    ) -> tuple[jax.Array, jax.Array | None]:
        low, high = self.codes
        smallest = jnp.min(weight, axis=axes, keepdims=True)
        spread = jnp.max(weight, axis=axes, keepdims=True) - smallest
        scale = quotient(jnp.maximum(spread, 1e-8), high - low)
        return scale, -jnp.round(smallest * _inverse(scale)) + low

    def round(
        self, weight: jax.Array, scale: jax.Array, zero_point: jax.Array | None
    ) -> jax.Array:
        assert zero_point is not None
        steps = weight * _inverse(scale) + zero_point
        return jnp.clip(jnp.round(steps), *self.codes)


def _inverse(scale: jax.Array) -> jax.Array:
    return quotient(jnp.ones_like(scale), scale)
