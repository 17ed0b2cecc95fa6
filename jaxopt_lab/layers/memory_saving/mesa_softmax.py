"""Softmax that keeps codes of its output for the backward pass."""

from __future__ import annotations

import functools
from typing import Annotated, Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core.functional import Call, Functional, stateful_layer
from jaxopt_lab.core.options import COUNT, check_arguments, takes
from jaxopt_lab.core.typing import ModelState, Params
from jaxopt_lab.layers.masks import over_features, without_padding
from jaxopt_lab.layers.memory_saving.residual_codes import (
    Compression,
    Grid,
    first_order_only,
    grid_of,
)


@takes(Compression)
def mesa_softmax(
    features: Annotated[int, COUNT],
    *,
    group_axis: int = -1,
    **options: Any,
) -> Functional:
    r"""Softmax over the last axis whose backward pass restores its output from codes.

    The output y is exact. With :math:`\hat y` that 8-bit codes of it stand for (ranges
    as ``mesa_gelu``), the gradient of the input is

    .. math:: \hat y \odot \left(g - \langle \hat y, g \rangle\right).

    Args:
      features: size of the last axis.
      group_axis: axis of the groups, each with a range of its own; 1 for the heads of
        attention weights ``(B, heads, T, T)``.
      **options: of the compression.

    Returns:
      ``init(key=None) -> ({}, {"range", "low", "started"})`` and ``apply(params, state,
      x, *, train, key=None, axis_name=None, mask=None) -> (y, state)``, as
      ``mesa_gelu``; entries of ``-inf`` give 0. The exponentials are those of
      ``jax.nn.softmax``, in the type of ``x``. Kept for the gradient: 1 byte a number
      (autodiff keeps 4). First derivatives only.

    Raises:
      InputError: an argument is out of range; at the call, the input does not fit,
        there is no key to round with, or a gradient is differentiated.

    Deviations: the released code clamps from below only (``mesa_gelu``).

    Source: Pan et al., "Mesa: A Memory-saving Training Framework for Transformers",
    2021 (https://arxiv.org/abs/2111.11124). Code read: ziplab/Mesa.

    >>> layer = mesa_softmax(2, rounding="nearest")
    >>> y, _ = layer.apply(*layer.init(), jnp.zeros((1, 2)), train=True)
    >>> y.tolist()
    [[0.5, 0.5]]
    """
    compression = Compression(**options)
    check_arguments(mesa_softmax, {"features": features, "group_axis": group_axis})

    def init(key: jax.Array | None = None) -> tuple[Any, Any]:
        return {}, compression.init()

    def apply(
        params: Params, state: ModelState, x: jax.Array, call: Call
    ) -> tuple[jax.Array, ModelState]:
        valid = over_features("mesa_softmax", x, features, call.mask)
        x = without_padding(x, valid)
        y: Any = jax.nn.softmax(x if not call.train else jax.lax.stop_gradient(x))
        if call.train:
            uniform = compression.uniform("mesa_softmax", call.key, x)
            state = compression.moved(
                state, y, axis=group_axis, valid=valid, axis_name=call.axis_name
            )
            grid, dtype = grid_of(state), y.dtype
            y = _softmax((compression, group_axis, dtype), x, y, grid, uniform)
        return without_padding(y, valid), state

    return stateful_layer(init, apply)


def plain_softmax(params: Any, x: jax.Array) -> jax.Array:
    """Softmax over the last axis."""
    del params
    return jax.nn.softmax(x)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _softmax(static: Any, x: Any, y: Any, grid: Grid, uniform: Any) -> Any:
    return y


def _forward(static: Any, x: Any, y: Any, grid: Grid, uniform: Any) -> Any:
    compression, axis, _ = static
    codes = compression.encode(jax.lax.stop_gradient(y), grid, uniform, axis)
    # The input is differentiated here for a derivative of the gradient alone.
    mark = first_order_only(x[:0])
    return y, (codes, grid, mark)


def _backward(static: Any, kept: Any, g: jax.Array) -> Any:
    compression, axis, dtype = static
    codes, grid, _ = kept
    like = jax.ShapeDtypeStruct(g.shape, dtype)
    y = compression.decode(codes, grid, like, axis)
    along = jnp.sum(y * g, axis=-1, keepdims=True)
    return y * (g - along), None, None, None


_softmax.defvjp(_forward, _backward)
