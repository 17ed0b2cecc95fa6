"""Functions of the user inside of a program that is given safe derivatives.

A gradient function, or a loss for a line search, is the user's: its derivatives must
stay what they are, and a NaN in them must stay visible. It runs as a nested program
under a name that the rewriting leaves alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxopt_lab.core.gradients import MappedGradFn

_NAME = "jaxopt_lab_opaque"


def is_array(x: Any) -> bool:
    """Whether ``x`` is an array, traced or not; Python numbers are none.

    Args:
      x: anything.

    Returns:
      True for arrays of jax (typed keys too) and numpy.
    """
    return isinstance(x, jax.Array | np.ndarray | np.generic)


def is_opaque(eqn: Any) -> bool:
    """Whether an equation is a call of an opaque function, or a derivative of one.

    Args:
      eqn: an equation of a program.

    Returns:
      True if its program must be left alone.
    """
    return _NAME in str(eqn.params.get("name", ""))


def arrays_only(
    fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Callable[[list[Any]], list[Any]], list[Any], Callable[[list[Any]], Any]]:
    """A call as a function of its arrays alone; every other leaf is built in.

    Args:
      fn: any function of trees.
      args: its arguments.
      kwargs: its named arguments; callables among them are leaves.

    Returns:
      ``run(arrays) -> arrays``; the arrays to give it; and ``rebuild(arrays)``, which
      makes the result of ``fn`` of what ``run`` returned, once ``run`` has run.
    """
    leaves, treedef = jax.tree.flatten((args, kwargs))
    places = [i for i, leaf in enumerate(leaves) if is_array(leaf)]
    results: list[Any] = []

    def run(arrays: list[Any]) -> list[Any]:
        filled = list(leaves)
        for i, array in zip(places, arrays, strict=True):
            filled[i] = array
        args, kwargs = jax.tree.unflatten(treedef, filled)
        out, out_tree = jax.tree.flatten(fn(*args, **kwargs))
        static = [None if is_array(x) else x for x in out]
        results[:] = [out_tree, static, [i for i, x in enumerate(out) if is_array(x)]]
        return [x for x in out if is_array(x)]

    def rebuild(arrays: list[Any]) -> Any:
        out_tree, static, where = results
        out = list(static)
        for i, array in zip(where, arrays, strict=True):
            out[i] = array
        return jax.tree.unflatten(out_tree, out)

    return run, [leaves[i] for i in places], rebuild


class _OpaqueCall:
    """A callable whose derivatives are left as they are; its methods are as well."""

    def __init__(self, fn: Callable[..., Any]):
        self._fn = fn

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        run, arrays, rebuild = arrays_only(self._fn, args, kwargs)
        run.__name__ = run.__qualname__ = _NAME
        return rebuild(jax.jit(run)(arrays))

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._fn, name)
        return opaque_call(value) if callable(value) else value


class _OpaqueGradFn(MappedGradFn):
    """A gradient function that knows its batch (``jaxopt_lab.batch_grad``).

    A transformation's own function of the gradients of the shards, which ``mean``
    is given, is not opaque; the gradients inside of it are.
    """

    def __init__(self, grad_fn: Any):
        super().__init__(grad_fn, wrap=_OpaqueCall)


def opaque_call(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A callable with the same values, left alone by the rewriting.

    Args:
      fn: any callable of trees; arrays among its arguments are traced.

    Returns:
      The opaque one, with the same attributes.
    """
    if isinstance(fn, _OpaqueCall | _OpaqueGradFn):
        return fn
    return _OpaqueGradFn(fn) if hasattr(fn, "mean") else _OpaqueCall(fn)
