"""The signed linear grid of the quantized pre-training study."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from jaxopt_lab.core.division import quotient
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.quantize.grid import Grid


@dataclasses.dataclass(frozen=True)
class LinearGrid(Grid):
    r"""Signed codes from :math:`-Q-1` to :math:`Q = 2^{bits-1} - 1`.

    With r the smallest range,

    .. math::
        s = \max(\max|x|, r) / Q, \quad z = 0

    or, not symmetric, from the smallest to the largest value, which need not contain 0,

    .. math::
        s = \max(\max x - \min x, r) / 2Q, \quad
        z = -\mathrm{round}(\min x / s + Q + 1),

    and :math:`q = \mathrm{round}(\mathrm{clip}(x / s + z, -Q - 1, Q))`.

    Attributes:
      bits: as of every grid; likewise ``symmetric`` and ``granularity``.
      min_range: r, in units of the weight.

    ``core.codecs.Linear`` is this grid for optimizer states: blocks, packed bytes.

    >>> grid = LinearGrid(bits=4)
    >>> coded = grid.encode(jnp.array([[0.0, 3.5, -7.0], [0.0, 0.0, 0.0]]))
    >>> coded.qvalue.tolist(), coded.scale[0].tolist()
    ([[0, 4, -7], [0, 0, 0]], [1.0])

    Source: Chitsaz, Fournier, Mordido and Chandar, "Exploring Quantization for
    Efficient Pre-Training of Transformer Language Models", arXiv:2407.11722. Code
    followed: chandar-lab/EfficientLLMs.
    """

    min_range: float = 1e-5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.min_range > 0:
            raise InputError(f"min_range must be above 0; got {self.min_range!r}")

    @property
    def codes(self) -> tuple[int, int]:
        return -(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1

    def fit_axes(
        self, weight: jax.Array, axes: tuple[int, ...]
    ) -> tuple[jax.Array, jax.Array | None]:
        low, top = self.codes
        least = jnp.asarray(self.min_range, weight.dtype)
        if self.symmetric:
            largest = jnp.max(jnp.abs(weight), axis=axes, keepdims=True)
            return quotient(jnp.maximum(largest, least), top), None
        smallest = jnp.min(weight, axis=axes, keepdims=True)
        spread = jnp.max(weight, axis=axes, keepdims=True) - smallest
        scale = quotient(jnp.maximum(spread, least), 2 * top)
        return scale, -jnp.round(quotient(smallest, scale) - low)

    def round(
        self, weight: jax.Array, scale: jax.Array, zero_point: jax.Array | None
    ) -> jax.Array:
        steps = quotient(weight, scale)
        if zero_point is not None:
            steps = steps + zero_point
        return jnp.round(jnp.clip(steps, *self.codes))
