"""Convolutions of rounded operands, with the study's backward pass."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxopt_lab.core.shapes import flattened
from jaxopt_lab.quantize.grid import Grid
from jaxopt_lab.quantize.quant_dot_general import ProductGrids


def quant_convolution(
    convolve: Callable[[jax.Array, jax.Array], jax.Array],
    x: jax.Array,
    kernel: jax.Array,
    grids: ProductGrids,
    *,
    batch: tuple[int, int] = (0, 0),
    outputs: int = -1,
) -> jax.Array:
    r"""A convolution of rounded images and a rounded kernel.

    As ``quant_matmul``: the backward pass takes both operands unrounded; the rounded
    gradient enters one of its two convolutions, or both. A grid by rows has one step an
    output channel of the kernel and one an example of images and gradients; a step a
    position would represent images of one channel exactly.

    Args:
      convolve: ``convolve(x, kernel)``, linear in both.
      x: images, with an axis of examples.
      kernel: of any layout.
      grids: :math:`Q_a`, :math:`Q_w`, :math:`Q_g`, and where the last one enters.
      batch: axis of the examples in ``x`` and in the result.
      outputs: axis of the output channels in ``kernel``.

    Returns:
      The result of ``convolve`` on the rounded operands.

    Memory: both operands are residuals, as of the plain convolution.

    >>> from jaxopt_lab.quantize import LinearGrid
    >>> grids = ProductGrids(weights=LinearGrid(2))
    >>> kernel = jnp.array([[1.0], [0.3]])
    >>> quant_convolution(jnp.matmul, jnp.ones((1, 2)), kernel, grids).tolist()
    [[1.0]]

    Source: as of ``quant_matmul``, whose study has no convolutions: the steps of the
    images are ours.
    """
    before, after = batch

    def forward(x: jax.Array, kernel: jax.Array) -> jax.Array:
        rounded = _by(grids.activations, x, before)
        return convolve(rounded, _by(grids.weights, kernel, outputs))

    @jax.custom_vjp
    def product(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return forward(x, kernel)

    def with_residuals(x: jax.Array, kernel: jax.Array) -> tuple:
        return forward(x, kernel), (x, kernel)

    def backward(residuals: tuple, gradient: jax.Array) -> tuple:
        x, kernel = residuals
        rounded = _by(grids.gradients, gradient, after)
        to = grids.gradient_to
        to_kernel = gradient if to == "inputs" else rounded
        to_images = gradient if to == "weights" else rounded
        _, back_x = jax.vjp(lambda x: convolve(x, kernel), x)
        _, back_kernel = jax.vjp(lambda k: convolve(x, k), kernel)
        return *back_x(to_images), *back_kernel(to_kernel)

    product.defvjp(with_residuals, backward)
    return product(x, kernel)


def _by(grid: Grid | None, x: jax.Array, axis: int) -> jax.Array:
    """Values on the grid, a row for each index of an axis."""
    if grid is None:
        return x
    first = jnp.moveaxis(x, axis, 0)
    coded = grid.encode(flattened(first)).dequantize(x.dtype)
    return jnp.moveaxis(coded.reshape(first.shape), 0, axis)
