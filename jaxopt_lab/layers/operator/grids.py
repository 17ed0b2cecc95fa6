"""Convolutions between the grids of a multigrid cycle."""

from __future__ import annotations

from typing import Any, Literal

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError

Boundary = Literal["dirichlet", "periodic", "neumann"]
Grid = Literal["even", "odd", "nested"]

_PADS: dict[str, Any] = {
    "dirichlet": {"mode": "constant"},
    "periodic": {"mode": "wrap"},
    "neumann": {"mode": "reflect"},
}


def check_grid(
    layer: str, places: tuple[int, ...], levels: int, grid: Grid, boundary: Boundary
) -> None:
    """Refuse sizes that cannot be halved ``levels - 1`` times.

    Args:
      layer: its name, for the message.
      places: height and width.
      levels: number of grids.
      grid: of ``multigrid_cycle``.
      boundary: of ``multigrid_cycle``.

    Raises:
      InputError: a size does not fit.

    >>> check_grid("cycle", (8, 6), 3, "even", "periodic")
    Traceback (most recent call last):
      ...
    jaxopt_lab.core.errors.InputError: cycle takes grids of 4 n points a side, n at \
least 2, for levels=3 and grid='even'; got (8, 6)
    """
    kinds = {"periodic": ("even",), "neumann": ("even", "odd")}
    if grid not in kinds.get(boundary, (grid,)):
        raise InputError(
            f"grid must be {' or '.join(kinds[boundary])} for boundary={boundary!r}; "
            f"got {grid!r}"
        )
    step = 2 ** (levels - 1)
    more = {"even": 0, "odd": 1, "nested": -1}[grid]
    least = 1 if grid == "odd" else 2
    if any((n - more) % step or (n - more) // step < least for n in places):
        end = f" {'+' if more > 0 else '-'} 1" if more else ""
        raise InputError(
            f"{layer} takes grids of {step} n{end} points a side, n at least {least}, "
            f"for levels={levels} and grid={grid!r}; got {places}"
        )


def on_grid(u: jax.Array, kernel: jax.Array, boundary: Boundary) -> jax.Array:
    """A convolution that keeps the grid.

    Args:
      u: ``(B, height, width, inputs)``.
      kernel: ``(3, 3, inputs, outputs)``.
      boundary: the values beyond the border: 0, those of the other side, or mirrored.

    Returns:
      ``(B, height, width, outputs)``.
    """
    return _convolved(_padded(u, boundary), kernel, 1, (0, 0))


def to_coarse(
    u: jax.Array, kernel: jax.Array, boundary: Boundary, grid: Grid
) -> jax.Array:
    """A convolution at every second point.

    Args:
      u: ``(B, height, width, inputs)``.
      kernel: ``(3, 3, inputs, outputs)``.
      boundary: of ``on_grid``.
      grid: ``"nested"`` keeps the points 1, 3, ..., the others 0, 2, ....

    Returns:
      The coarse function.
    """
    u = u if grid == "nested" else _padded(u, boundary)
    return _convolved(u, kernel, 2, (0, 0))


def to_fine(
    u: jax.Array,
    kernel: jax.Array,
    boundary: Boundary,
    grid: Grid,
    *,
    zeros: bool = False,
) -> jax.Array:
    """The transposed convolution of stride 2.

    The value at a coarse point goes to the fine points around its own.

    Args:
      u: ``(B, height, width, inputs)``.
      kernel: ``(4, 4, inputs, outputs)`` for an even grid, else of sides 3; its second
        entry belongs to the coarse point.
      boundary: of ``on_grid``, for coarse values beyond the border.
      grid: of ``to_coarse``.
      zeros: take 0 beyond the border of any kind, as frameworks do: across a periodic
        border nothing is carried then.

    Returns:
      The fine function: ``2 n``, ``2 n - 1`` or ``2 n + 1`` points a side.
    """
    size = kernel.shape[0]
    before = size - 1 if grid == "nested" else size - 2
    after = {"even": 2, "odd": 1, "nested": 2}[grid]
    fine = [2 * n + {"even": 0, "odd": -1, "nested": 1}[grid] for n in u.shape[1:3]]
    cut = 0
    if boundary != "dirichlet" and not zeros:
        u, cut = _padded(u, boundary), 2
    y = _convolved(u, kernel[::-1, ::-1], 1, (before, after), dilation=2)
    return y[:, cut : cut + fine[0], cut : cut + fine[1]]


def _padded(u: jax.Array, boundary: Boundary) -> jax.Array:
    return jnp.pad(u, ((0, 0), (1, 1), (1, 1), (0, 0)), **_PADS[boundary])


def _convolved(
    u: jax.Array,
    kernel: jax.Array,
    stride: int,
    pads: tuple[int, int],
    dilation: int = 1,
) -> jax.Array:
    return jax.lax.conv_general_dilated(
        u,
        kernel.astype(u.dtype),
        (stride, stride),
        (pads, pads),
        lhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
