"""Matrix products of rounded operands, with the study's backward pass."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError, unknown
from jaxopt_lab.quantize.grid import Grid

GradientTo = Literal["weights", "inputs", "both"]


@dataclasses.dataclass(frozen=True)
class ProductGrids:
    """The grids of a matrix product and of its derivative.

    Attributes:
      weights: grid of the weights; None: unrounded. Likewise the others.
      activations: of the inputs.
      gradients: of the gradient of the outputs.
      gradient_to: the product of the backward pass that takes the rounded gradient:
        ``"weights"``, ``"inputs"`` or ``"both"``.
    """

    weights: Grid | None = None
    activations: Grid | None = None
    gradients: Grid | None = None
    gradient_to: GradientTo = "weights"

    def __post_init__(self) -> None:
        if self.gradient_to not in get_args(GradientTo):
            raise unknown("gradient_to", self.gradient_to, get_args(GradientTo))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def quant_matmul(
    x: jax.Array, weight: jax.Array, grids: ProductGrids, precision: Any = None
) -> jax.Array:
    r"""The product of rounded inputs and rounded weights.

    .. math::
        Y = Q_a(X) Q_w(W)^\top, \qquad
        \bar W = Q_g(\bar Y)^\top X, \quad \bar X = \bar Y W

    The backward pass takes X and W unrounded; the rounded gradient enters one of the
    two products, or both.

    Args:
      x: X, ``(tokens, inputs)``.
      weight: W, ``(outputs, inputs)``, of the type of ``x``.
      grids: :math:`Q_a`, :math:`Q_w`, :math:`Q_g`, and where the last one enters.
      precision: of the three products, as of ``jax.lax.dot_general``.

    Returns:
      Y, ``(tokens, outputs)``.

    Memory: X and W are residuals, as of the plain product.

    >>> from jaxopt_lab.quantize import LinearGrid
    >>> x, w, two = jnp.array([[1.0, 0.4]]), jnp.ones((1, 2)), LinearGrid(2)
    >>> quant_matmul(x, w, ProductGrids(two, two)).tolist()
    [[1.0]]

    Source: Chitsaz, Fournier, Mordido and Chandar, arXiv:2407.11722. Code followed:
    chandar-lab/EfficientLLMs.
    """
    x, weight = _on(grids.activations, x), _on(grids.weights, weight)
    return jnp.matmul(x, weight.T, precision=precision)


def _forward(
    x: jax.Array, weight: jax.Array, grids: ProductGrids, precision: Any
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return quant_matmul(x, weight, grids, precision), (x, weight)


def _backward(
    grids: ProductGrids,
    precision: Any,
    residuals: tuple[jax.Array, jax.Array],
    gradient: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    x, weight = residuals
    rounded = _on(grids.gradients, gradient)
    to_weights = gradient if grids.gradient_to == "inputs" else rounded
    to_inputs = gradient if grids.gradient_to == "weights" else rounded
    return (
        jnp.matmul(to_inputs, weight, precision=precision),
        jnp.matmul(to_weights.T, x, precision=precision),
    )


quant_matmul.defvjp(_forward, _backward)


def _on(grid: Grid | None, x: jax.Array) -> jax.Array:
    return x if grid is None else grid.encode(x).dequantize(x.dtype)


def quant_dot_general(grids: ProductGrids) -> Callable[..., jax.Array]:
    """Make a ``dot_general`` of rounded operands for Flax's dense layers.

    ``nnx.Linear(..., dot_general=quant_dot_general(...))``, ``nn.Dense`` likewise: the
    left operand is the activations, the right one the kernel. A grid by rows has one
    step a token of the activations and of the gradient, and one an output of the
    weights. See ``quant_matmul`` for the derivative.

    Args:
      grids: of the operands and of the gradient.

    Returns:
      A function with the arguments of ``jax.lax.dot_general``.

    Raises:
      InputError: from the returned function, a product with batch axes.

    >>> from jaxopt_lab.quantize import LinearGrid
    >>> dot = quant_dot_general(ProductGrids(weights=LinearGrid(2)))
    >>> kernel = jnp.array([[1.0], [0.3]])
    >>> dot(jnp.ones((3, 2)), kernel, (((1,), (0,)), ((), ()))).tolist()
    [[1.0], [1.0], [1.0]]
    """

    def dot_general(
        lhs: jax.Array,
        rhs: jax.Array,
        dimension_numbers: Any,
        precision: Any = None,
        preferred_element_type: Any = None,
        **_unused: Any,
    ) -> jax.Array:
        contracted, batched = dimension_numbers
        if any(map(len, batched)):
            raise InputError(
                "quant_dot_general takes products without batch axes, of activations "
                f"and a kernel; got the batch axes {batched}"
            )
        x, kept = _matrix(lhs, contracted[0])
        weight, outputs = _matrix(rhs, contracted[1])
        product: jax.Array = quant_matmul(x, weight, grids, precision)
        y = product.reshape(*kept, *outputs)
        return y if preferred_element_type is None else y.astype(preferred_element_type)

    return dot_general


def _matrix(
    array: jax.Array, contracted: tuple[int, ...]
) -> tuple[jax.Array, tuple[int, ...]]:
    """An operand as ``(others, contracted)``, and the shape of the other axes."""
    others = [axis for axis in range(array.ndim) if axis not in contracted]
    kept = tuple(array.shape[axis] for axis in others)
    order = (*others, *contracted)
    return array.transpose(order).reshape(math.prod(kept), -1), kept
