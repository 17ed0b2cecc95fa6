"""The interface of the grids of equal steps on which weights are rounded."""

from __future__ import annotations

import abc
import dataclasses
import math
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError, unknown
from jaxopt_lab.core.numbers import is_whole
from jaxopt_lab.core.qarray import QArray

Granularity = Literal["row", "tensor"]


@dataclasses.dataclass(frozen=True)
class Grid(abc.ABC):
    """A grid of equal steps: fitted to a weight, which is rounded to the nearest.

    Attributes:
      bits: bits of a code, 2 to 8.
      symmetric: whether 0 has the same code in every row.
      granularity: weights that share a step: ``"row"`` (the last axis, all inputs of
        an output) or ``"tensor"``.
    """

    bits: int = 8
    symmetric: bool = True
    granularity: Granularity = "row"

    def __post_init__(self) -> None:
        if not (is_whole(self.bits) and 2 <= self.bits <= 8):
            raise InputError(f"bits must be a whole number in [2, 8]; got {self.bits}")
        if self.granularity not in get_args(Granularity):
            raise unknown("granularity", self.granularity, get_args(Granularity))

    @property
    @abc.abstractmethod
    def codes(self) -> tuple[int, int]:
        """The least and the greatest code."""

    @abc.abstractmethod
    def fit(self, weight: jax.Array) -> tuple[jax.Array, jax.Array | None]:
        """Scale and zero point for a weight.

        Args:
          weight: float32 or float64, at least one axis.

        Returns:
          ``(scale, zero_point)`` of the same type, axes that share a step of length
          1; a scale is never 0. No zero point, ``None``, is 0.
        """

    @abc.abstractmethod
    def round(
        self, weight: jax.Array, scale: jax.Array, zero_point: jax.Array | None
    ) -> jax.Array:
        """The nearest codes, as floats; halves are rounded to even.

        Args:
          weight: float32 or float64.
          scale: as ``fit`` gives it.
          zero_point: likewise.

        Returns:
          Whole numbers in ``codes``, of the type of ``weight``.
        """

    def encode(self, weight: ArrayLike) -> QArray:
        """A weight on the grid fitted to it.

        Args:
          weight: real floating array of at least one axis.

        Returns:
          Codes in int8 or uint8; they have no derivative. A row that holds NaN or an
          infinity has such a scale, so that all its values come back as NaN.

        Raises:
          InputError: it is not floating, complex or a scalar.
        """
        weight = jnp.asarray(weight)
        if not jnp.issubdtype(weight.dtype, jnp.floating) or weight.ndim == 0:
            raise InputError(
                "a weight to quantize must be a real floating array of at least one "
                f"axis; got {weight.dtype} of shape {weight.shape}"
            )
        wide = weight.astype(trees.accumulation_dtype(weight.dtype))
        wide = jax.lax.stop_gradient(wide)
        scale, zero_point = self.fit(wide)
        codes = self.round(wide, scale, zero_point)
        kind = jnp.int8 if self.codes[0] < 0 else jnp.uint8
        return QArray(codes.astype(kind), scale, zero_point)

    def nbytes(self, coded: QArray) -> int:
        """Bytes of a coded weight with its codes packed to ``bits`` each."""
        rest = trees.nbytes((coded.scale, coded.zero_point))
        return math.ceil(coded.qvalue.size * self.bits / 8) + rest

    def axes(self, weight: jax.Array) -> tuple[int, ...]:
        """The axes that share a step."""
        return (-1,) if self.granularity == "row" else tuple(range(weight.ndim))
