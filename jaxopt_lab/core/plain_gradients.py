"""Plain gradient functions of a user: how they are called, and what they must give."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import Params, Updates

# The pass number is passed by keyword, by position, or not at all.
PassNumber = Literal["keyword", "position", "none"]

_ACCEPTED = "grad_fn(params) or grad_fn(params, i=0), i the number of the pass"
_BIND = (
    "bind what else it takes: jaxopt_lab.batch_grad(loss_fn, batch), or "
    "lambda p: jax.grad(loss_fn)(p, batch)"
)


class PlainGradFn:
    """A user's function as ``grad_fn(params, i=0) -> gradients``.

    The pass number reaches it only as the argument called ``i``: in any other place it
    would be taken for a batch or a key. The first result is compared with the
    parameters. Other members are those of the function.

    Args:
      fn: ``fn(params)`` or ``fn(params, i=0)``; ``i`` may be keyword-only.
      on_failure: called where ``fn`` raises a ``TypeError``, to tell more.

    Raises:
      InputError: ``fn`` is no function, needs other arguments than ``params`` and
        ``i``, or (when called) gives something else than gradients of the parameters.

    Cost: one comparison of two trees when traced.

    >>> square = PlainGradFn(jax.grad(lambda w: w**2))
    >>> float(square(jnp.array(3.0), 5))
    6.0
    """

    def __init__(
        self,
        fn: Callable[..., Updates],
        on_failure: Callable[[], None] = lambda: None,
    ):
        self._how = _pass_number(fn)
        self._fn = fn
        self._checked = False
        self._on_failure = on_failure

    def __call__(self, params: Params, i: int | jax.Array = 0) -> Updates:
        try:
            grads = self._called(params, i)
        except TypeError:
            self._on_failure()
            raise
        if not self._checked:
            check_gradients(grads, params)
            self._checked = True
        return grads

    def _called(self, params: Params, i: int | jax.Array) -> Updates:
        if self._how == "keyword":
            return self._fn(params, i=i)
        if self._how == "position":
            return self._fn(params, i)
        return self._fn(params)

    def telling(self, on_failure: Callable[[], None]) -> PlainGradFn:
        """The same function with another ``on_failure``; this one keeps its own."""
        return PlainGradFn(self._fn, on_failure)

    def __getattr__(self, name: str) -> Any:
        if name in ("_fn", "_how", "_checked", "_on_failure"):  # while being copied
            raise AttributeError(name)
        return getattr(self._fn, name)


def _pass_number(fn: Any) -> PassNumber:
    """The way that ``fn`` takes the pass number; refuses one that needs more."""
    if not callable(fn):
        kind = "a gradient" if jax.tree.leaves(fn) else type(fn).__name__
        raise InputError(
            f"grad_fn must be a function, {_ACCEPTED}; got {kind}. "
            "jaxopt_lab.batch_grad(loss_fn, batch) makes one"
        )
    try:
        given = inspect.signature(fn).parameters
    except (TypeError, ValueError):  # a builtin
        return "none"
    kinds = inspect.Parameter
    positional = (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)
    first = next((n for n, p in given.items() if p.kind in positional), None)
    starred = any(p.kind is kinds.VAR_POSITIONAL for p in given.values())
    many = (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD)
    needed = [
        name
        for name, p in given.items()
        if name not in (first, "i") and p.default is p.empty and p.kind not in many
    ]
    if needed or (first is None and not starred):
        shape = inspect.signature(fn).replace(return_annotation=kinds.empty)
        names = ", ".join(shape.parameters)
        raise InputError(
            f"grad_fn must take the parameters alone, {_ACCEPTED}; got one of "
            f"({names}). {_BIND[0].upper()}{_BIND[1:]}"
        )
    if "i" in given and first != "i":
        by_place = given["i"].kind is kinds.POSITIONAL_ONLY
        return "position" if by_place else "keyword"
    # A function that forwards its keywords is told too: silence would mean pass 0.
    forwards = any(p.kind is kinds.VAR_KEYWORD for p in given.values())
    return "keyword" if forwards else "none"


def check_gradients(grads: Updates, params: Params) -> None:
    """Refuse what is no gradient of the parameters.

    Args:
      grads: the result of a gradient function.
      params: the parameters that it was called with.

    Raises:
      InputError: tree or shapes differ, or a gradient of a floating parameter is no
        floating array, or complex where the parameter is real, or the reverse.

    >>> check_gradients({"w": jnp.ones(2)}, {"w": jnp.zeros(2)})
    """
    expected, got = jax.tree.structure(params), jax.tree.structure(grads)
    if expected != got:
        lines = trees.differences(params, grads, shapes=False)
        hint = ""
        if isinstance(grads, tuple) and len(grads) == 2:
            hint = " (a pair: jax.value_and_grad or has_aux=True?)"
        elif not lines or jax.tree.structure(0) == got:
            hint = " (the value of the loss?)"
        raise InputError(
            "grad_fn must give the gradients, a tree like the parameters; got "
            f"another one{hint}: {trees.summary(lines)}"
        )
    pairs = zip(trees.leaves_with_path(params), jax.tree.leaves(grads), strict=True)
    for (path, p), g in pairs:
        shape, dtype = jnp.shape(p), jnp.result_type(p)
        if not trees.is_floating(p):
            continue
        found = jnp.result_type(g)
        alike = trees.is_floating(g) and (
            jnp.issubdtype(dtype, jnp.complexfloating)
            == jnp.issubdtype(found, jnp.complexfloating)
        )
        if jnp.shape(g) != shape or not alike:
            name = trees.path_name(path) or "the parameters"
            wanted, have = f"{dtype}{list(shape)}", f"{found}{list(jnp.shape(g))}"
            raise InputError(
                "grad_fn must give the gradients, arrays like the parameters; for "
                f"{name}, {wanted}, it gave {have}"
            )
