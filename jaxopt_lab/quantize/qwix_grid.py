"""The symmetric integer grid of qwix."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from jaxopt_lab.core.division import quotient
from jaxopt_lab.quantize.grid import Grid


@dataclasses.dataclass(frozen=True)
class QwixGrid(Grid):
    r"""Signed codes with a step that fills the outermost bucket.

    .. math::
        s = \max|x| / (2^{bits-1} - \tfrac12), \quad
        q = \mathrm{clip}(\mathrm{round}(x / s), -2^{bits-1}, 2^{bits-1} - 1)

    or, not symmetric, from :math:`l = \min(0, \min x)` to :math:`h = \max(0, \max x)`,

    .. math::
        s = (h - l) / (2^{bits} - 1), \quad
        z = \mathrm{round}(-2^{bits-1} - l / s).

    The step is 1 where it would be below the root of the smallest normal number.

    Attributes:
      bits: as of every grid; likewise ``symmetric``, ``granularity``, ``group_size``.

    >>> coded = QwixGrid(bits=2).encode(jnp.array([[-3.0, 0.4, 3.0]]))
    >>> coded.qvalue.tolist(), coded.scale.tolist()
    ([[-2, 0, 1]], [[2.0]])

    Source: google/qwix, release 0.1.8 (absmax and minmax calibration).
    """

    @property
    def codes(self) -> tuple[int, int]:
        return -(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1

    def fit_axes(
        self, weight: jax.Array, axes: tuple[int, ...]
    ) -> tuple[jax.Array, jax.Array | None]:
        low, high = self.codes
        least = jnp.sqrt(jnp.finfo(weight.dtype).tiny)
        if self.symmetric:
            largest = jnp.max(jnp.abs(weight), axis=axes, keepdims=True)
            scale = quotient(largest, high + 0.5)
            return jnp.where(scale < least, jnp.ones_like(scale), scale), None
        start = jnp.minimum(jnp.min(weight, axis=axes, keepdims=True), 0)
        end = jnp.maximum(jnp.max(weight, axis=axes, keepdims=True), 0)
        scale = quotient(end - start, high - low)
        scale = jnp.where(scale < least, jnp.ones_like(scale), scale)
        return scale, jnp.clip(jnp.round(low - quotient(start, scale)), low, high)

    def round(
        self, weight: jax.Array, scale: jax.Array, zero_point: jax.Array | None
    ) -> jax.Array:
        steps = quotient(weight, scale)
        if zero_point is not None:
            steps = steps + zero_point
        return jnp.clip(jnp.round(steps), *self.codes)
