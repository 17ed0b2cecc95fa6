"""Rounding to the nearest code, without calibration."""

from __future__ import annotations

from typing import Annotated, Literal

import jax

from jaxopt_lab.core.errors import unknown
from jaxopt_lab.core.options import STATIC, Interval
from jaxopt_lab.core.qarray import QArray
from jaxopt_lab.quantize.genie_grid import GenieGrid
from jaxopt_lab.quantize.gptq_grid import GPTQGrid
from jaxopt_lab.quantize.grid import Grid
from jaxopt_lab.quantize.linear_grid import LinearGrid
from jaxopt_lab.quantize.qwix_grid import QwixGrid
from jaxopt_lab.quantize.report import QuantizerReport, calibration_error
from jaxopt_lab.quantize.zeroq_grid import ZeroQGrid

GridName = Literal["linear", "gptq", "qwix", "zeroq", "genie"]
_GRIDS: dict[str, type[Grid]] = {
    "linear": LinearGrid,
    "gptq": GPTQGrid,
    "qwix": QwixGrid,
    "zeroq": ZeroQGrid,
    "genie": GenieGrid,
}


def named_grid(codec: Grid | GridName, bits: int = 8) -> Grid:
    """A grid from its name.

    Args:
      codec: ``"linear"`` (``LinearGrid``), ``"gptq"`` (``GPTQGrid``), ``"qwix"``
        (``QwixGrid``), ``"zeroq"`` (``ZeroQGrid``) or ``"genie"`` (``GenieGrid``), with
        that grid's defaults; or a grid, returned as it is.
      bits: bits of a grid given by name.

    Returns:
      The grid.

    Raises:
      InputError: there is no such name, or ``bits`` is out of range.

    >>> named_grid("gptq", 4).codes
    (0, 15)
    """
    return codec if isinstance(codec, Grid) else grid_of_name(codec, bits)


def grid_of_name(name: GridName, bits: int = 8, group_size: int | None = None) -> Grid:
    """A grid with its own defaults, by rows or in groups.

    Args:
      name: as of ``named_grid``.
      bits: bits of a code.
      group_size: values of a group; None: whole rows.

    Returns:
      The grid.

    Raises:
      InputError: there is no such name, or an option is out of range.

    >>> grid_of_name("linear", 4, 32).granularity
    'group'
    """
    if name not in _GRIDS:
        raise unknown("codec", str(name), _GRIDS)
    if group_size is None:
        return _GRIDS[name](bits)
    return _GRIDS[name](bits, granularity="group", group_size=group_size)


def round_to_nearest(
    weight: jax.Array,
    gram: jax.Array | None = None,
    codec: Grid | GridName = "linear",
    *,
    bits: Annotated[int, Interval(2, 8), STATIC] = 8,
) -> tuple[QArray, QuantizerReport]:
    r"""Every weight at the nearest point of a grid.

    Args:
      weight: W, ``(outputs, inputs)``; a Flax kernel is its transpose.
      gram: :math:`X^\top X` of the inputs, ``(inputs, inputs)``, for the report alone;
        ``None``: the identity.
      codec: the grid, or its name: ``"linear"``, ``"gptq"``, ``"qwix"``, ``"zeroq"``,
        ``"genie"``.
      bits: bits of a grid given by name, 2 to 8.

    Returns:
      The codes and the report, whose two errors are the same.

    Raises:
      InputError: the weight is no real floating matrix, or the gram matrix does not
        fit.

    Cost: one pass over the weight, and the product with the gram matrix. No
    derivative.

    >>> import jax.numpy as jnp
    >>> w = jnp.array([[-1.0, 0.25, 2.0]])
    >>> coded, report = round_to_nearest(w, codec="gptq", bits=2)
    >>> coded.qvalue.tolist(), round(float(report.error), 4)
    ([[0, 1, 3]], 0.0123)

    Source: those of the grids.
    """
    grid = named_grid(codec, bits)
    coded = grid.encode(weight)
    error = calibration_error(weight, coded.dequantize(), gram)
    return coded, QuantizerReport(error, error, grid.nbytes(coded))
