"""A model as two pure functions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from jaxopt_lab.core.checks import require_real
from jaxopt_lab.core.typing import ModelState, Params


class Functional(NamedTuple):
    """A model as two pure functions, fit for ``jit``, ``grad`` and ``vmap``.

    Attributes:
      init: ``init(key) -> (params, model_state)``, both nested dicts with string
        keys; ``model_state`` (batch statistics, counts, keys) is ``{}`` for most
        models. Call it as ``jax.jit(f.init)(key)``: run op by op it takes seconds.
        ``jax.vmap(f.init)(keys)`` gives one model per key, stacked.
      apply: ``apply(params, model_state, inputs, *, train, key=None) -> (outputs,
        new_model_state)``. ``key`` feeds dropout. In evaluation ``model_state``
        comes back as it was; in training its structure, shapes and dtypes stay.
    """

    init: Callable[[jax.Array], tuple[Params, ModelState]]
    apply: Callable[..., tuple[Any, ModelState]]


def real_layer(
    init: Callable[..., tuple[Any, Any]], apply: Callable[..., Any]
) -> Functional:
    """A layer that refuses complex parameters and states, its own first ones too.

    A layer takes its parameters in the type of its statistics, and a cast of complex
    numbers to a real type drops their imaginary parts.

    Args:
      init: ``init(key=None) -> (params, state)``.
      apply: ``apply(params, state, x, **options)``.

    Returns:
      Both, with an ``InputError`` of one line where a leaf is complex.

    >>> import jax.numpy as jnp
    >>> scale = real_layer(lambda key=None: ({}, {}), lambda p, s, x: (p["w"] * x, s))
    >>> scale.apply({"w": jnp.ones(1, jnp.complex64)}, {}, jnp.ones(2))
    Traceback (most recent call last):
    ...
    jaxopt_lab.core.errors.InputError: a layer takes real parameters; got complex64 \
for 'w': keep its real and imaginary parts as two real leaves
    """

    def check(params: Any, state: Any) -> None:
        require_real("a layer", params)
        require_real("a layer", state, of="state")

    @functools.wraps(init)
    def checked_init(*args: Any, **options: Any) -> tuple[Any, Any]:
        params, state = init(*args, **options)
        check(params, state)
        return params, state

    @functools.wraps(apply)
    def checked(params: Any, state: Any, *args: Any, **options: Any) -> Any:
        check(params, state)
        return apply(params, state, *args, **options)

    return Functional(checked_init, checked)


class Call(NamedTuple):
    """The arguments of a layer beside its parameters, state and input.

    Attributes:
      train: training; otherwise evaluation, in which the state stays.
      key: from which the layer draws; None where it is called without.
      axis_name: axis over which the batch is divided, inside ``shard_map`` or
        ``pmap``; None under plain ``jit``.
      mask: nonzero where a position counts, of each input where the layer takes
        several; None: all count.
    """

    train: bool
    key: jax.Array | None = None
    axis_name: str | None = None
    mask: Any = None


def stateful_layer(
    init: Callable[..., tuple[Any, Any]],
    of_call: Callable[[Any, Any, Any, Call], tuple[Any, Any]],
) -> Functional:
    """A layer with a state, random numbers or another formula in training.

    Args:
      init: ``init(key=None) -> (params, state)``.
      of_call: ``of_call(params, state, x, call) -> (y, state)``.

    Returns:
      The layer, called as all are; it refuses what ``real_layer`` refuses.

    >>> count = lambda params, state, x, call: (x, state + call.train)
    >>> stateful_layer(lambda key=None: ({}, 0), count).apply({}, 0, 1.0, train=True)
    (1.0, 1)
    """

    def apply(
        params: Any,
        state: Any,
        x: Any,
        *,
        train: bool,
        key: jax.Array | None = None,
        axis_name: str | None = None,
        mask: Any = None,
    ) -> tuple[Any, Any]:
        return of_call(params, state, x, Call(train, key, axis_name, mask))

    return real_layer(init, apply)


def stateless_layer(
    init: Callable[..., tuple[Any, Any]], of_input: Callable[[Any, Any, Any], Any]
) -> Functional:
    """A layer that is one function of parameters and input, in training too.

    Args:
      init: ``init(key=None) -> (params, state)``; the state is returned as it came.
      of_input: ``of_input(params, x, mask) -> y``.

    Returns:
      The layer, called as all are; it refuses what ``real_layer`` refuses.

    >>> half = stateless_layer(lambda key=None: ({}, {}), lambda p, x, mask: x / 2)
    >>> half.apply({}, {}, 1.0, train=True)
    (0.5, {})
    """

    def of_call(params: Any, state: Any, x: Any, call: Call) -> tuple[Any, Any]:
        return of_input(params, x, call.mask), state

    return stateful_layer(init, of_call)
