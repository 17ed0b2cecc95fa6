"""Rounding to the nearest code, without calibration."""

from __future__ import annotations

import jax

from jaxopt_lab.core.qarray import QArray
from jaxopt_lab.quantize.grid import Grid
from jaxopt_lab.quantize.linear_grid import LinearGrid
from jaxopt_lab.quantize.report import QuantizerReport, calibration_error


def round_to_nearest(
    weight: jax.Array,
    gram: jax.Array | None = None,
    codec: Grid | None = None,
) -> tuple[QArray, QuantizerReport]:
    r"""Every weight at the nearest point of a grid.

    Args:
      weight: W, ``(outputs, inputs)``; a Flax kernel is its transpose.
      gram: :math:`X^\top X` of the inputs, ``(inputs, inputs)``, for the report alone;
        ``None``: the identity.
      codec: the grid, ``LinearGrid`` or ``GPTQGrid``; ``None``: ``LinearGrid()``.

    Returns:
      The codes and the report, whose two errors are the same.

    Raises:
      InputError: the weight is no real floating matrix, or the gram matrix does not
        fit.

    Cost: one pass over the weight, and the product with the gram matrix. No
    derivative.

    >>> import jax.numpy as jnp
    >>> from jaxopt_lab.quantize import GPTQGrid
    >>> w = jnp.array([[-1.0, 0.25, 2.0]])
    >>> coded, report = round_to_nearest(w, codec=GPTQGrid(bits=2))
    >>> coded.qvalue.tolist(), round(float(report.error), 4)
    ([[0, 1, 3]], 0.0123)
    """
    grid = LinearGrid() if codec is None else codec
    coded = grid.encode(weight)
    error = calibration_error(weight, coded.dequantize(), gram)
    return coded, QuantizerReport(error, error, grid.nbytes(coded))
