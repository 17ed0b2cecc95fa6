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

_NAME = "jaxopt_lab_shielded"


def is_array(x: Any) -> bool:
    """Whether ``x`` is an array, traced or not; Python numbers are none.

    Args:
      x: anything.

    Returns:
      True for arrays of jax (typed keys too) and numpy.
    """
    return isinstance(x, jax.Array | np.ndarray | np.generic)


def is_shield(eqn: Any) -> bool:
    """Whether an equation is a call of a shielded function, or a derivative of one.

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


class Shielded:
    """A callable whose derivatives are left as they are.

    Its other methods are shielded as well.
    """

    def __init__(self, fn: Callable[..., Any]):
        self._fn = fn

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        run, arrays, rebuild = arrays_only(self._fn, args, kwargs)
        run.__name__ = run.__qualname__ = _NAME
        return rebuild(jax.jit(run)(arrays))

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._fn, name)
        return shield(value) if callable(value) else value


class ShieldedGradFn(Shielded):
    """A gradient function that knows its batch (``jaxopt_lab.batch_grad``), or shards
    of one.

    What a link does with the gradients of the shards is the link's own code, so only
    the gradients inside of ``mean`` are shielded.
    """

    def shard(self, num_shards: int) -> Any:
        """The shards, shielded."""
        return shield(self._fn.shard(num_shards))  # type: ignore[attr-defined]

    def mean(self, f: Any, *args: Any, **kwargs: Any) -> Any:
        """The mean of a tree over devices, or of a function over shards."""
        if callable(f):
            return self._fn.mean(lambda g: f(shield(g)), *args, **kwargs)  # type: ignore[attr-defined]
        return self._fn.mean(f, *args, **kwargs)  # type: ignore[attr-defined]


def shield(fn: Callable[..., Any]) -> Shielded:
    """A callable with the same values, left alone by the rewriting.

    Args:
      fn: any callable of trees; arrays among its arguments are traced.

    Returns:
      The shielded one, with the same attributes.
    """
    if isinstance(fn, Shielded):
        return fn
    return ShieldedGradFn(fn) if hasattr(fn, "mean") else Shielded(fn)
