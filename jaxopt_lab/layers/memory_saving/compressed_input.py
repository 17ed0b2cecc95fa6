"""A function whose backward pass sees its input through codes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax

from jaxopt_lab.core.functional import Call, Functional, stateful_layer
from jaxopt_lab.core.typing import ModelState, Params
from jaxopt_lab.layers.masks import over_features, without_padding
from jaxopt_lab.layers.memory_saving.residual_codes import (
    Compression,
    Grid,
    first_order_only,
    grid_of,
)

Function = Callable[[Any, jax.Array], jax.Array]


def with_compressed_input(
    function: Function,
    params: Any,
    x: jax.Array,
    compression: Compression,
    grid: Grid,
    uniform: jax.Array | None,
) -> jax.Array:
    """``function(params, x)``, exact; the gradient is taken at the restored ``x``.

    Args:
      function: pure, and closes over no arrays.
      params: tree of arrays, differentiated and kept as they are.
      x: differentiated; its codes are kept.
      compression: of ``x``.
      grid: its grid.
      uniform: numbers for stochastic rounding, or ``None``.

    Returns:
      The value.

    Kept for the gradient: the codes and ``params``. The backward pass evaluates
    ``function`` once more.

    >>> import jax.numpy as jnp
    >>> grid = Grid(jnp.array([1.0]), jnp.array([0.0]))
    >>> square = lambda params, x: x * x
    >>> run = lambda x: with_compressed_input(
    ...     square, (), x, Compression(bits=1), grid, None)[0, 0]
    >>> float(jax.jit(jax.grad(run))(jnp.array([[0.8]]))[0, 0])
    2.0
    """
    like = jax.ShapeDtypeStruct(x.shape, x.dtype)
    static = _Static(function, compression, like)
    return _run(static, params, x, grid, uniform)


class _Static:
    """The part that shapes the program; compared by value, as jit's cache needs it."""

    def __init__(self, function: Function, how: Compression, like: Any) -> None:
        self.function, self.how, self.like = function, how, like

    def _all(self) -> Any:
        return self.function, self.how, self.like.shape, self.like.dtype

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Static) and self._all() == other._all()

    def __hash__(self) -> int:
        return hash(self._all())


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _run(static: _Static, params: Any, x: Any, grid: Grid, uniform: Any) -> Any:
    return static.function(params, x)


def _forward(static: _Static, params: Any, x: Any, grid: Grid, uniform: Any) -> Any:
    codes = static.how.encode(jax.lax.stop_gradient(x), grid, uniform)
    return static.function(params, first_order_only(x)), (params, codes, grid)


def _backward(static: _Static, kept: Any, g: Any) -> Any:
    params, codes, grid = kept
    x = static.how.decode(codes, grid, static.like)
    return *jax.vjp(static.function, params, x)[1](g), None, None


_run.defvjp(_forward, _backward)


def compressed_layer(
    name: str,
    features: int,
    function: Function,
    first_params: Callable[[jax.Array | None], Any],
    compression: Compression,
) -> Functional:
    """A layer that keeps codes of its input, around a function of it.

    Args:
      name: of the layer, for messages.
      features: size of the last axis of the input.
      function: ``function(params, x)``, each position by itself.
      first_params: ``first_params(key)``, its first parameters.
      compression: of the input.

    Returns:
      ``init`` and ``apply`` by the contract of layers.

    >>> import jax.numpy as jnp
    >>> double = lambda params, x: 2 * x
    >>> layer = compressed_layer("twice", 3, double, lambda key: {}, Compression())
    >>> layer.apply(*layer.init(None), jnp.ones((1, 3)), train=False)[0].tolist()
    [[2.0, 2.0, 2.0]]
    """

    def init(key: Any = None) -> tuple[Any, Any]:
        return first_params(key), compression.init()

    def apply(
        params: Params, state: ModelState, x: jax.Array, call: Call
    ) -> tuple[jax.Array, ModelState]:
        valid = over_features(name, x, features, call.mask)
        x = without_padding(x, valid)
        if call.train:
            uniform = compression.uniform(name, call.key, x)
            state = compression.moved(state, x, valid=valid, axis_name=call.axis_name)
            grid = grid_of(state)
            y = with_compressed_input(function, params, x, compression, grid, uniform)
        else:
            y = function(params, x)
        return without_padding(y, valid), state

    return stateful_layer(init, apply)
