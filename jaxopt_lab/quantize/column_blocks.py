"""The columns of a weight in blocks, for quantizers that round one at a time."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.qarray import QArray, over_groups
from jaxopt_lab.quantize.grid import Grid
from jaxopt_lab.quantize.report import check_gram, check_values


class Steps(NamedTuple):
    """The grid of every weight, columns first.

    Attributes:
      scale: ``(inputs, outputs)``.
      zero_point: likewise, or None.
    """

    scale: jax.Array
    zero_point: jax.Array | None

    def values(self, grid: Grid, index: Any, column: jax.Array) -> jax.Array:
        """The nearest values of one column, ``(outputs,)``."""
        scale, zero = jax.tree.map(
            lambda x: jax.lax.dynamic_index_in_dim(x, index, keepdims=False),
            (self.scale, self.zero_point),
        )
        codes = grid.round(column, scale, zero)
        return (codes if zero is None else codes - zero) * scale

    def block(self, start: jax.Array, length: int) -> Steps:
        """Those of neighbouring columns."""
        return jax.tree.map(
            lambda x: jax.lax.dynamic_slice_in_dim(x, start, length), self
        )


def steps_of(
    scale: jax.Array,
    zero_point: jax.Array | None,
    shape: tuple[int, ...],
    order: jax.Array | None,
    size: int,
) -> Steps:
    """The grid of every weight of a matrix whose columns are reordered.

    Args:
      scale: of a fitted grid.
      zero_point: likewise.
      shape: of the weight, ``(outputs, inputs)``.
      order: the columns in their order; ``None``: as they are.
      size: columns with those that fill the last block; they have the step 1.

    Returns:
      The steps. Memory: two numbers a weight.
    """

    def spread(x: jax.Array, filling: float) -> jax.Array:
        rows = jnp.broadcast_to(over_groups(x, shape), shape).T
        rows = rows if order is None else rows[order]
        extra = ((0, size - shape[1]), (0, 0))
        return jnp.pad(rows, extra, constant_values=filling)

    return Steps(
        spread(scale, 1.0), None if zero_point is None else spread(zero_point, 0.0)
    )


def padded(size: int, block: int) -> int:
    """The least multiple of ``block`` that is not below ``size``."""
    return -(-size // block) * block


def calibrated(
    weight: jax.Array, gram: jax.Array | None, grid: Grid, name: str
) -> tuple[jax.Array, jax.Array]:
    """Weight and gram matrix of a quantizer that needs both, in its precision.

    Args:
      weight: ``(outputs, inputs)``.
      gram: ``(inputs, inputs)``.
      grid: of the quantizer.
      name: of the quantizer, for messages.

    Returns:
      Both, in float32 or float64.

    Raises:
      InputError: the weight is no matrix, the gram matrix is missing, of another
        shape or, outside of ``jit``, either is not finite or the latter has a
        diagonal below 0.
    """
    wide = grid.wide(weight)
    if wide.ndim != 2:
        raise InputError(
            f"{name} takes a matrix, (outputs, inputs); got the shape {wide.shape}"
        )
    if gram is None:
        raise InputError(
            f"{name} needs gram, the sum of the outer products of the inputs; got None "
            "(without calibration data use round_to_nearest)"
        )
    gram = jnp.asarray(gram)
    check_gram(gram, wide.shape[1])
    check_values(name, weight=wide, gram=gram)
    return wide, gram.astype(trees.accumulation_dtype(wide.dtype))


def recoded(
    grid: Grid, values: jax.Array, scale: jax.Array, zero_point: jax.Array | None
) -> QArray:
    """The codes of values that are on a grid already."""
    return grid.coded(grid.nearest(values, scale, zero_point), scale, zero_point)
