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
