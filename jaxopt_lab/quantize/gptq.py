"""GPTQ: columns rounded in turn, the error of each made good in the rest."""
# Its examples wait for pytest --full.

from __future__ import annotations

import functools
from typing import Annotated, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular

from jaxopt_lab.core.errors import InputError, unknown
from jaxopt_lab.core.known_values import known_values
from jaxopt_lab.core.options import COUNT, NON_NEGATIVE, STATIC, Interval
from jaxopt_lab.core.qarray import QArray
from jaxopt_lab.quantize.column_blocks import (
    Steps,
    calibrated,
    padded,
    recoded,
    steps_of,
)
from jaxopt_lab.quantize.grid import Grid
from jaxopt_lab.quantize.report import QuantizerReport, calibration_error
from jaxopt_lab.quantize.round_to_nearest import GridName, named_grid

Order = Literal["given", "activation"]
DAMPING, BLOCK = 0.01, 128


def gptq(
    weight: jax.Array,
    gram: jax.Array | None = None,
    codec: Grid | GridName = "gptq",
    *,
    bits: Annotated[int, Interval(2, 8), STATIC] = 4,
    damping: Annotated[float, NON_NEGATIVE] = DAMPING,
    order: Annotated[Order, STATIC] = "given",
    block_size: Annotated[int, COUNT, STATIC] = BLOCK,
    static_groups: Annotated[bool, STATIC] = False,
) -> tuple[QArray, QuantizerReport]:
    r"""Quantize a weight column by column and pass the error on.

    With :math:`H = X^\top X + \lambda\,\overline{\operatorname{diag}}\,I` and U the
    upper Cholesky factor of :math:`H^{-1}`, for each column i in turn

    .. math::
        q_i = Q(w_i), \quad e = (w_i - q_i) / U_{ii}, \quad
        w_j \leftarrow w_j - e\, U_{ij} \quad (j > i),

    in blocks of columns: later blocks get the errors of a whole block in one product.

    Args:
      weight: W, ``(outputs, inputs)``; a Flax kernel is its transpose.
      gram: :math:`X^\top X` of the inputs, ``(inputs, inputs)``. An input that is
        always 0 gets the value of 0.
      codec: the grid, or the name of one, as of ``round_to_nearest``.
      bits: bits of a grid given by name, 2 to 8.
      damping: :math:`\lambda`, relative to the mean of the diagonal.
      order: ``"given"``, or ``"activation"``: columns of the largest diagonal first.
      block_size: columns of a block. The result depends on it with groups alone.
      static_groups: fit the grids of groups to the weight itself. Otherwise a group's
        grid is fitted when its first column is reached, on what the errors of finished
        blocks have made of the weight.

    Returns:
      Codes and report. ``report.error`` is mostly, not always, below
      ``report.nearest_error``.

    Raises:
      InputError: no gram matrix, a wrong shape, values that are not finite, an unknown
        order, the order ``"activation"`` with groups that are not static or, without
        damping, a gram matrix that is singular (under ``jit`` all values are NaN then).

    Cost: :math:`O(p^3 + q p^2)` for q outputs and p inputs; memory :math:`2 p^2 + 5 q
    p` numbers. Works under ``jit`` and ``vmap``; no derivative.

    The published code takes 1 for the diagonal of an input that is always 0, which
    enters the mean; here it counts as 0 there, so that the scale of the inputs does
    not matter.

    >>> import jax.numpy as jnp
    >>> w, gram = jnp.array([[0.5, 0.2, 1.5]]), jnp.ones((3, 3)) + jnp.eye(3)
    >>> coded, report = gptq(w, gram, bits=2)
    >>> coded.dequantize().tolist(), bool(report.error <= report.nearest_error)
    ([[0.5, 0.0, 1.5]], True)

    Source: Frantar, Ashkboos, Hoefler and Alistarh, "GPTQ", arXiv:2210.17323. Code
    followed: IST-DASLab/gptq.
    """
    grid = named_grid(codec, bits)
    if order not in get_args(Order):
        raise unknown("order", order, get_args(Order))
    on_the_fly = grid.granularity == "group" and not static_groups
    if on_the_fly and order == "activation":
        raise InputError(
            "order 'activation' needs static_groups=True with a grid of groups, whose "
            "columns it would tear apart"
        )
    wide, wide_gram = calibrated(weight, gram, grid, "gptq")
    values, scale, zero_point = gptq_values(
        wide, wide_gram, damping, grid, order, block_size, on_the_fly
    )
    known = known_values(scale)
    if known is not None and np.isnan(known).any():
        raise InputError(
            f"gram of gptq is singular at damping={damping}: fewer examples than the "
            f"{wide.shape[1]} inputs, or equal ones; give more, or a larger damping"
        )
    coded = recoded(grid, values, scale, zero_point)
    error = calibration_error(wide, coded.dequantize(), wide_gram)
    nearest = calibration_error(wide, grid.encode(wide).dequantize(), wide_gram)
    return coded, QuantizerReport(error, nearest, grid.nbytes(coded))


@functools.partial(jax.jit, static_argnums=(3, 4, 5, 6))
def gptq_values(
    weight: jax.Array,
    gram: jax.Array,
    damping: jax.Array,
    grid: Grid,
    order: Order,
    block: int,
    on_the_fly: bool,
) -> tuple[jax.Array, jax.Array, jax.Array | None]:
    """Values on the grid, their scale and their zero point.

    Args:
      weight: ``(outputs, inputs)``.
      gram: of the inputs.
      damping: relative to the mean of the diagonal.
      grid: rounds.
      order: of the columns.
      block: columns between two products.
      on_the_fly: fit the grids of groups when they are reached.

    Returns:
      ``(values, scale, zero_point)``, see ``Grid.fit``.
    """
    inputs = weight.shape[1]
    block = min(block, inputs)
    diagonal = jnp.diagonal(gram)
    places = None
    if order == "activation":
        places = jnp.argsort(-diagonal, stable=True)
        gram, diagonal = gram[places][:, places], diagonal[places]
    columns = weight.T if places is None else weight.T[places]
    dead = diagonal <= 0
    mean = jnp.mean(diagonal)
    mean = jnp.where(mean > 0, mean, 1)
    added = jnp.where(dead, mean, 0) + jnp.asarray(damping, gram.dtype) * mean
    factor = _inverse_factor(gram + jnp.diag(added))
    size = padded(inputs, block)
    extra = size - inputs
    factor = jnp.pad(factor, ((0, extra), (0, extra)))
    pivots = jnp.where(jnp.arange(size) < inputs, jnp.diagonal(factor), 1)
    rest = jnp.where(dead[:, None], 0, columns)
    rest = jnp.pad(rest, ((0, extra), (0, 0)))
    back = None if places is None else jnp.argsort(places)
    fitted = weight
    if grid.granularity == "group":
        # As published: an input that is always 0 counts in the range of a row, not of
        # a group.
        live = diagonal > 0 if back is None else diagonal[back] > 0
        fitted = jnp.where(live[None], weight, 0)
    scale, zero_point = grid.fit(fitted)

    def every_step(scale: jax.Array, zero_point: jax.Array | None) -> Steps:
        return steps_of(scale, zero_point, weight.shape, places, size)

    fixed = None if on_the_fly else every_step(scale, zero_point)

    def one_block(number: jax.Array, carry):
        rest, scale, zero_point = carry
        start = number * block
        steps = fixed
        if steps is None:
            now = rest[:inputs].T
            scale, zero_point = _refitted(grid, now, scale, zero_point, start, block)
            steps = every_step(scale, zero_point)
        steps = steps.block(start, block)
        rows, tile, pivot = (
            jax.lax.dynamic_slice_in_dim(x, start, block)
            for x in (factor, rest, pivots)
        )
        square = jax.lax.dynamic_slice_in_dim(rows, start, block, axis=1)

        def one_column(i: jax.Array, carry):
            tile, errors, values = carry
            value = steps.values(grid, i, tile[i])
            error = (tile[i] - value) / pivot[i]
            later = jnp.where(jnp.arange(block) > i, square[i], 0)
            tile = tile - later[:, None] * error[None]
            return tile, errors.at[i].set(error), values.at[i].set(value)

        empty = jnp.zeros_like(tile)
        _, errors, values = jax.lax.fori_loop(
            0, block, one_column, (tile, empty, empty)
        )
        later = jnp.where(jnp.arange(size)[None] >= start + block, rows, 0)
        rest = rest - later.T @ errors
        rest = jax.lax.dynamic_update_slice_in_dim(rest, values, start, 0)
        return rest, scale, zero_point

    carry = rest, scale, zero_point
    rest, scale, zero_point = jax.lax.fori_loop(0, size // block, one_block, carry)
    # Codes cannot tell that there is no factor; the scale can, under jit as well.
    scale = jnp.where(jnp.all(jnp.isfinite(pivots)), scale, jnp.nan)
    rest = rest[:inputs]
    return (rest if back is None else rest[back]).T, scale, zero_point


def _inverse_factor(matrix: jax.Array) -> jax.Array:
    """U, upper triangular, with ``U.T @ U`` the inverse of the matrix."""
    lower = jnp.linalg.cholesky(matrix[::-1, ::-1])
    upper = lower[::-1, ::-1]
    return solve_triangular(upper, jnp.eye(len(matrix), dtype=matrix.dtype))


def _refitted(grid, weight, scale, zero_point, start, block):
    """Scales with those of the groups that begin in a block fitted again."""
    assert grid.group_size is not None
    first = jnp.arange(scale.shape[-1]) * grid.group_size
    chosen = (first >= start) & (first < start + block)
    new_scale, new_zero = grid.fit(weight)
    scale = jnp.where(chosen, new_scale, scale)
    if zero_point is not None:
        zero_point = jnp.where(chosen, new_zero, zero_point)
    return scale, zero_point
