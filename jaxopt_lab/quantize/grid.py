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
from jaxopt_lab.core.qarray import QArray, over_groups

Granularity = Literal["row", "column", "tensor", "group"]


@dataclasses.dataclass(frozen=True)
class Grid(abc.ABC):
    """A grid of equal steps: fitted to a weight, which is rounded to the nearest.

    Attributes:
      bits: bits of a code, 2 to 8.
      symmetric: whether 0 has the same code in every row.
      granularity: values that share a step: ``"row"``, the last axis: all inputs of an
        output (channel) of a weight, all features of a token of an activation;
        ``"column"``, all axes but the last; ``"tensor"``; ``"group"``, ``group_size``
        neighbours on the last axis.
      group_size: values of a group; for the granularity ``"group"`` alone.
    """

    bits: int = 8
    symmetric: bool = True
    granularity: Granularity = "row"
    group_size: int | None = dataclasses.field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not (is_whole(self.bits) and 2 <= self.bits <= 8):
            raise InputError(f"bits must be a whole number in [2, 8]; got {self.bits}")
        if self.granularity not in get_args(Granularity):
            raise unknown("granularity", self.granularity, get_args(Granularity))
        grouped = self.granularity == "group"
        size = self.group_size
        if grouped and (size is None or not is_whole(size) or size < 1):
            raise InputError(
                "group_size must be a whole number above 0 for granularity 'group'; "
                f"got {size!r}"
            )
        if not grouped and size is not None:
            raise InputError(
                f"group_size belongs to granularity 'group'; got {size!r} with "
                f"{self.granularity!r}"
            )

    @property
    @abc.abstractmethod
    def codes(self) -> tuple[int, int]:
        """The least and the greatest code."""

    @abc.abstractmethod
    def fit_axes(
        self, weight: jax.Array, axes: tuple[int, ...]
    ) -> tuple[jax.Array, jax.Array | None]:
        """Scale and zero point of values that share a step along ``axes``.

        Args:
          weight: float32 or float64.
          axes: the axes that share a step; they stay, with length 1.

        Returns:
          ``(scale, zero_point)`` of the same type; a scale is never 0. No zero point,
          ``None``, is 0.
        """

    @abc.abstractmethod
    def round(
        self, weight: jax.Array, scale: jax.Array, zero_point: jax.Array | None
    ) -> jax.Array:
        """The nearest codes, as floats; halves are rounded to even.

        Args:
          weight: float32 or float64.
          scale: broadcastable to it.
          zero_point: likewise.

        Returns:
          Whole numbers in ``codes``, of the type of ``weight``.
        """

    def fit(self, weight: jax.Array) -> tuple[jax.Array, jax.Array | None]:
        """Scale and zero point for a weight.

        Args:
          weight: float32 or float64, at least one axis.

        Returns:
          ``(scale, zero_point)`` of the same type; an axis that shares a step has
          length 1, one of groups their number.

        Raises:
          InputError: the last axis is no multiple of the group size, or there is
            nothing along an axis that shares a step.
        """
        if self.granularity != "group":
            axes = self.axes(weight)
            if weight.size == 0 and any(weight.shape[axis] == 0 for axis in axes):
                raise InputError(
                    f"no value shares a step by {self.granularity!r} in a weight of "
                    f"shape {weight.shape}"
                )
            return self.fit_axes(weight, axes)
        scale, zero_point = self.fit_axes(self.in_groups(weight), (-1,))
        return scale[..., 0], None if zero_point is None else zero_point[..., 0]

    def in_groups(self, weight: jax.Array) -> jax.Array:
        """The weight with its last axis cut into groups, ``(..., groups, size)``."""
        size, length = self.group_size, weight.shape[-1]
        if not size or length % size:
            raise InputError(
                f"group_size must divide the last axis, {length} values; got {size}"
            )
        return weight.reshape(*weight.shape[:-1], length // size, size)

    def nearest(
        self, weight: jax.Array, scale: jax.Array, zero_point: jax.Array | None
    ) -> jax.Array:
        """Codes on a grid that was fitted before: ``round`` over groups."""
        if zero_point is not None:
            zero_point = over_groups(zero_point, weight.shape)
        return self.round(weight, over_groups(scale, weight.shape), zero_point)

    def encode(self, weight: ArrayLike, key: jax.Array | None = None) -> QArray:
        """A weight on the grid fitted to it.

        Args:
          weight: real floating array of at least one axis.
          key: of a stochastic rounding, up or down without bias between the least and
            the greatest code; ``None``: to the nearest.

        Returns:
          Codes in int8 or uint8; they have no derivative. A row that holds NaN or an
          infinity has such a scale, so that all its values come back as NaN.

        Raises:
          InputError: it is not floating, complex or a scalar, or it cannot have the
            granularity.
        """
        wide = self.wide(weight)
        scale, zero_point = self.fit(wide)
        if key is not None:
            noise = jax.random.uniform(key, wide.shape, wide.dtype) - 0.5
            wide = wide + over_groups(scale, wide.shape) * noise
        return self.coded(self.nearest(wide, scale, zero_point), scale, zero_point)

    def wide(self, weight: ArrayLike) -> jax.Array:
        """The weight in float32 or float64, without a derivative."""
        weight = jnp.asarray(weight)
        if not jnp.issubdtype(weight.dtype, jnp.floating) or weight.ndim == 0:
            raise InputError(
                "a weight to quantize must be a real floating array of at least one "
                f"axis; got {weight.dtype} of shape {weight.shape}"
            )
        return jax.lax.stop_gradient(
            weight.astype(trees.accumulation_dtype(weight.dtype))
        )

    def coded(
        self, codes: jax.Array, scale: jax.Array, zero_point: jax.Array | None
    ) -> QArray:
        """Whole numbers in floats as codes in int8 or uint8."""
        kind = jnp.int8 if self.codes[0] < 0 else jnp.uint8
        return QArray(codes.astype(kind), scale, zero_point)

    def nbytes(self, coded: QArray) -> int:
        """Bytes of a coded weight with its codes packed to ``bits`` each."""
        rest = trees.nbytes((coded.scale, coded.zero_point))
        return math.ceil(coded.qvalue.size * self.bits / 8) + rest

    def axes(self, weight: jax.Array) -> tuple[int, ...]:
        """The axes that share a step; not for groups."""
        everything = tuple(range(weight.ndim))
        named = {"row": (-1,), "column": everything[:-1], "tensor": everything}
        return named[self.granularity]
