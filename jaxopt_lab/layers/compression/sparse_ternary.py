"""Dense layer, or convolution of size 1, with a constant ternary matrix."""
# Its examples wait for pytest --full.

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp

from jaxopt_lab.core.functional import Functional, stateless_layer
from jaxopt_lab.core.options import COUNT, SHARE, STATIC, check_arguments
from jaxopt_lab.core.typing import Params
from jaxopt_lab.layers.compression.ternary_matrix import (
    WORD,
    ones_of_column,
    ternary_matrix,
)
from jaxopt_lab.layers.masks import over_features, without_padding


def sparse_ternary(
    features: Annotated[int, COUNT],
    *,
    out: Annotated[int | None, COUNT] = None,
    seed: Annotated[int, WORD] = 0,
    layer: Annotated[int, WORD] = 0,
    density: Annotated[float, SHARE, STATIC] = 0.5,
    balanced: bool = True,
    scale: Literal["variance", "none"] = "variance",
) -> Functional:
    r"""Product with a sparse random matrix of -1, 0 and 1 that is never trained.

    .. math:: y = \frac{x T}{\sqrt{p n}}, \qquad
        \mathrm{E}_T |y_j|^2 = \frac{|x|^2}{n}

    for n inputs of density p. On images and sequences it is a convolution of size 1:
    the pointwise half of a separable one. A batch normalization follows it in the
    paper, for which the scale matters through its ``eps`` alone.

    Args:
      features: size of the last axis of the input, n.
      out: size of the last axis of the output; ``None``: as the input.
      seed: of the matrix, a whole number of 32 bits.
      layer: a number that tells the layers of one seed apart.
      density: p, share of the entries that are not 0.
      balanced: the same number of them in each column.
      scale: ``"variance"``, as above; ``"none"``: :math:`x T`.

    Returns:
      ``init(key=None) -> ({}, {})``: no parameters, none stored; and ``apply(params,
      state, x, *, train, key=None, axis_name=None, mask=None) -> (y, state)``.
      ``mask``, of the leading axes of ``x``, is 0 for padding, which gives 0. Training
      and evaluation are the same.

    Raises:
      InputError: an argument is out of range, or ``density`` leaves a balanced column
        no entry.

    Nothing is kept for the gradient: the backward pass makes the matrix once more. A
    dense matrix product is done, with no fewer operations on a usual machine; what is
    saved is what is trained and stored. Matrix: ``ternary_matrix``.

    Source: from the abstract of "Compressing 1D Time-Channel Separable Convolutions
    using Sparse Random Ternary Matrices", 2021 (https://arxiv.org/abs/2103.17142); the
    constants are ours.

    >>> layer = sparse_ternary(4, out=2, scale="none")
    >>> params, state = layer.init()
    >>> y, _ = layer.apply(params, state, jnp.ones((1, 4)), train=True)
    >>> params, y.shape
    ({}, (1, 2))
    """
    check_arguments(sparse_ternary, locals())
    outputs = features if out is None else out
    ones = ones_of_column(features, density) if balanced else density * features
    factor = 1 / math.sqrt(ones) if scale == "variance" else 1.0

    @jax.checkpoint
    def product(x: jax.Array) -> jax.Array:
        matrix = ternary_matrix(
            seed,
            (features, outputs),
            density=density,
            balanced=balanced,
            layer=layer,
            dtype=x.dtype,
        )
        return (x @ matrix) * jnp.asarray(factor, x.dtype)

    def init(key: jax.Array | None = None) -> tuple[Any, Any]:
        return {}, {}

    def apply(params: Params, x: jax.Array, mask: jax.Array | None) -> jax.Array:
        valid = over_features("sparse_ternary", x, features, mask)
        y = product(without_padding(x, valid))
        return without_padding(y, valid)

    return stateless_layer(init, apply)


def random_signs(params: Any, x: jax.Array) -> jax.Array:
    """A random projection by signs, what is left of ``density=1`` with seed 0.

    Args:
      params: ``{}``.
      x: ``(..., features)``.

    Returns:
      As ``x``.
    """
    n = x.shape[-1]
    # The matrix is dense: the balanced form and the other are one.
    signs = ternary_matrix(0, (n, n), density=1.0, balanced=False, dtype=x.dtype)
    return x @ signs / jnp.sqrt(jnp.asarray(n, x.dtype))
