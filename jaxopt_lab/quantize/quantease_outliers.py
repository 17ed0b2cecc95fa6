"""QuantEase with a few weights kept in floating point."""

from __future__ import annotations

import functools
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, STATIC, Interval, check_arguments
from jaxopt_lab.core.qarray import QArray
from jaxopt_lab.quantize.column_blocks import calibrated, padded, recoded, steps_of
from jaxopt_lab.quantize.grid import Grid
from jaxopt_lab.quantize.quantease import sweep
from jaxopt_lab.quantize.report import QuantizerReport, calibration_error
from jaxopt_lab.quantize.round_to_nearest import GridName, named_grid


class QArrayWithOutliers(NamedTuple):
    """A matrix on a grid, and few weights that are added to it.

    Attributes:
      coded: the codes, ``(outputs, inputs)``.
      outliers: the weights beside them, 0 but for few, of the same shape.
    """

    coded: QArray
    outliers: jax.Array

    def dequantize(self) -> jax.Array:
        """The sum."""
        return self.coded.dequantize() + self.outliers


def quantease_outliers(
    weight: jax.Array,
    gram: jax.Array | None,
    codec: Grid | GridName = "gptq",
    *,
    bits: Annotated[int, Interval(2, 8), STATIC] = 4,
    fraction: Annotated[float, Interval(0, 1), STATIC] = 0.01,
    structured: Annotated[bool, STATIC] = False,
    sweeps: Annotated[int, COUNT, STATIC] = 30,
    block_size: Annotated[int, COUNT, STATIC] = 16,
) -> tuple[QArrayWithOutliers, QuantizerReport]:
    r"""Codes and outliers in turn: coordinate descent, then a projected gradient step.

    The objective :math:`|(W - B - H) X^\top|^2` with B on a grid and H of few entries
    is lowered by a sweep of ``quantease`` over B and

    .. math::
        H \leftarrow P_k(H - G / L), \quad G = 2 (B + H - W) \Sigma, \quad
        L = 2 \lambda_{max}(\Sigma),

    where :math:`P_k` keeps the k largest entries, or the columns of largest norm. It
    starts from :math:`H = P_k(W)`, B = W - H; every third sweep is left unrounded as in
    ``quantease``.

    Args:
      weight: W, ``(outputs, inputs)``.
      gram: :math:`\Sigma = X^\top X`, ``(inputs, inputs)``.
      codec: the grid, or the name of one; fitted to W with 0 at the outliers, and,
        ``structured``, to the other columns.
      bits: bits of a grid given by name, 2 to 8.
      fraction: of the entries, or of the columns, that H has.
      structured: keep whole columns.
      sweeps: iterations.
      block_size: as of ``quantease``.

    Returns:
      Codes with outliers, and the report: those of the rounded iterate with the
      smallest objective. ``nbytes`` counts 8 bytes for an outlier, 4 for one in a
      column.

    Raises:
      InputError: no gram matrix, a wrong shape, values that are not finite, or a
        fraction without an outlier.

    The published class never stores the quantized weights, so that its objective is 0
    with a weight in full precision; this is the algorithm that its comments and the
    gradient give. Its grid is trimmed by quantiles; ours is that of W without the first
    outliers.

    Cost of a sweep: :math:`6 q p^2` operations; memory as of ``quantease``.

    >>> w, gram = jnp.array([[0.5, 0.3, 9.0]]), jnp.ones((3, 3)) + jnp.eye(3)
    >>> found, report = quantease_outliers(w, gram, bits=2, fraction=0.34)
    >>> int(jnp.sum(found.outliers != 0)), bool(report.error < report.nearest_error)
    (1, True)

    Source: Behdin et al., "QuantEase", arXiv:2309.01885, algorithm 3.
    """
    check_arguments(quantease_outliers, locals())
    grid = named_grid(codec, bits)
    wide, wide_gram = calibrated(weight, gram, grid, "quantease_outliers")
    count = round((wide.shape[1] if structured else wide.size) * fraction)
    if not count:
        raise InputError(
            f"fraction={fraction} of shape {wide.shape} is no outlier; accepted: larger"
            " ones, or quantease"
        )
    first = _kept(wide.T, count, structured).T
    scale, zero_point = grid.fit(jnp.where(first != 0, 0, wide))
    values, outliers = _descend(
        wide,
        first,
        wide_gram,
        (scale, zero_point),
        grid,
        sweeps,
        block_size,
        count,
        structured,
    )
    coded = recoded(grid, values, scale, zero_point)
    found = QArrayWithOutliers(coded, outliers)
    error = calibration_error(wide, found.dequantize(), wide_gram)
    nearest = calibration_error(wide, grid.encode(wide).dequantize(), wide_gram)
    extra = count * (4 * len(wide) + 4 if structured else 8)
    return found, QuantizerReport(error, nearest, grid.nbytes(coded) + extra)


@functools.partial(jax.jit, static_argnums=(4, 5, 6, 7, 8))
def _descend(
    target: jax.Array,
    first: jax.Array,
    gram: jax.Array,
    fitted: tuple[jax.Array, jax.Array | None],
    grid: Grid,
    sweeps: int,
    block: int,
    count: int,
    structured: bool,
) -> tuple[jax.Array, jax.Array]:
    """Values on the grid and outliers, ``(outputs, inputs)``."""
    inputs = target.shape[1]
    block = min(block, inputs)
    size = padded(inputs, block)
    extra = size - inputs
    steps = steps_of(*fitted, target.shape, None, size)
    sigma = jnp.pad(gram, ((0, extra), (0, extra)))
    weight, outliers = (jnp.pad(x.T, ((0, extra), (0, 0))) for x in (target, first))
    rate = 1 / jnp.linalg.eigvalsh(gram)[-1]

    def iteration(number: jax.Array, carry):
        current, outliers, best, least = carry
        exact = (number % 3 == 1) & (number <= 25) & (number < sweeps - 1)
        aim = weight - outliers
        apart, _ = sweep(aim, aim - current, sigma, steps, grid, block, ~exact)
        current = aim - apart
        outliers = _kept(outliers + rate * (sigma @ apart), count, structured)
        apart = weight - current - outliers
        error = jnp.sum(apart * (sigma @ apart))
        better = ~exact & (error < least)
        best, least = jax.tree.map(
            lambda new, old: jnp.where(better, new, old),
            ((current, outliers), error),
            (best, least),
        )
        return current, outliers, best, least

    current = weight - outliers
    infinite = jnp.full((), jnp.inf, weight.dtype)
    carry = current, outliers, (current, outliers), infinite
    _, _, best, _ = jax.lax.fori_loop(0, sweeps, iteration, carry)
    return best[0][:inputs].T, best[1][:inputs].T


def _kept(x: jax.Array, count: int, structured: bool) -> jax.Array:
    """The largest entries, or rows of largest norm, of an array with columns first."""
    if structured:
        norms = jnp.sum(x**2, axis=1)
        chosen = jnp.zeros(len(x), bool).at[jax.lax.top_k(norms, count)[1]].set(True)
        return jnp.where(chosen[:, None], x, 0)
    flat = x.reshape(-1)
    places = jax.lax.top_k(jnp.abs(flat), count)[1]
    return jnp.zeros_like(flat).at[places].set(flat[places]).reshape(x.shape)
