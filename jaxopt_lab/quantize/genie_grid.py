"""The grid of Genie: the clipping range with the smallest error of 100."""
# Its examples wait for pytest --full.

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from jaxopt_lab.core.division import quotient
from jaxopt_lab.quantize.grid import Grid
from jaxopt_lab.quantize.range_search import searched_range


@dataclasses.dataclass(frozen=True)
class GenieGrid(Grid):
    r"""Unsigned codes on the range :math:`[p \min x, p \max x]`.

    p is the ratio of 1, 0.99, ..., 0.01 with the smallest sum of
    :math:`|x - Q(x)|^{2.4}`, the larger one of two that are equal, and

    .. math::
        s = p (\max x - \min x) / (2^{bits} - 1), \quad
        z = \mathrm{round}(-p \min x / s), \quad
        q = \mathrm{clip}(\mathrm{round}(x / s) + z, 0, 2^{bits} - 1).

    Attributes:
      bits: as of every grid; likewise ``granularity`` and ``group_size``.
      symmetric: must be False.

    A constant x gets its own value as the step. Cost: 100 passes over the weight.

    >>> coded = GenieGrid(bits=2).encode(jnp.array([[0.0, 1.0, 2.0, 3.1]]))
    >>> coded.qvalue.tolist()
    [[0, 1, 2, 3]]

    Source: Jeon, Lee and Kim, "Genie: Show Me the Data for Quantization",
    arXiv:2212.04780. Code followed: SamsungLabs/Genie.
    """

    symmetric: bool = False

    @property
    def codes(self) -> tuple[int, int]:
        return 0, 2**self.bits - 1

    def fit_axes(
        self, weight: jax.Array, axes: tuple[int, ...]
    ) -> tuple[jax.Array, jax.Array | None]:
        top = self.codes[1]
        low = jnp.min(weight, axis=axes, keepdims=True)
        high = jnp.max(weight, axis=axes, keepdims=True)
        # A constant has the range from 0 to it, zeros that from 0 to 1.
        flat = high - low < jnp.finfo(weight.dtype).tiny * top
        low = jnp.where(flat, jnp.minimum(low, 0), low)
        high = jnp.where(flat, jnp.maximum(high, 0), high)
        high = jnp.where(flat & (high == low), low + 1, high)

        def from_range(low: jax.Array, high: jax.Array) -> tuple[jax.Array, jax.Array]:
            scale = quotient(high - low, top)
            return scale, jnp.round(quotient(-low, scale))

        hundredths = jnp.arange(100, 0, -1).astype(weight.dtype)
        ratios = quotient(hundredths, 100)
        return searched_range(self, weight, axes, (low, high), from_range, ratios)

    def round(
        self, weight: jax.Array, scale: jax.Array, zero_point: jax.Array | None
    ) -> jax.Array:
        assert zero_point is not None
        return jnp.clip(jnp.round(quotient(weight, scale)) + zero_point, *self.codes)
