"""What is refused before anything is differentiated, by the names of the paths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.interpreters import partial_eval
from jaxtyping import PyTree

from jaxopt_lab.bilevel.carry import check_kept
from jaxopt_lab.bilevel.inner import InnerProblem
from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError


def check_start(start: PyTree, expected: PyTree, name: str = "start") -> None:
    """Refuse a carry to go on from that is not of the type of a first carry.

    Args:
      start: the carry given.
      expected: what ``init`` gives.
      name: what to call the argument in the error.

    Raises:
      InputError: they differ; the paths are named.
    """
    lines = trees.differences(expected, as_arrays(start))
    if lines:
        raise InputError(f"{name} does not fit: {trees.summary(lines)}")


def check_loop(inner: InnerProblem, theta: PyTree, start: PyTree | None) -> PyTree:
    """Refuse a problem whose carry does not keep its type, and a start without it.

    Args:
      inner: the problem.
      theta: outer parameters.
      start: a carry to go on from, or ``None``.

    Returns:
      The shapes and dtypes of a carry.

    Raises:
      InputError: structures, shapes or dtypes differ; the paths are named.
    """
    first = jax.eval_shape(lambda theta: as_arrays(inner.init(theta)), theta)
    if start is not None:
        check_start(start, first)
    t = jax.ShapeDtypeStruct((), jnp.int32)
    after = jax.eval_shape(inner.step, theta, first, t)
    check_kept(first, after)
    return first


def as_theta(theta: PyTree) -> PyTree:
    """The outer parameters as arrays.

    Args:
      theta: tree of real floating arrays and numbers.

    Returns:
      The same tree; numbers become arrays.

    Raises:
      InputError: a leaf is no real floating array (its path is named), or there is
        none.
    """
    theta = jax.tree.map(jnp.asarray, theta)
    if not jax.tree.leaves(theta):
        raise InputError("theta has no leaves; there is nothing to differentiate by")
    require_real("theta", theta)
    return theta


def require_real(name: str, tree: PyTree) -> None:
    """Refuse leaves along which there is no derivative.

    Args:
      name: what to call the tree in the error.
      tree: arrays or ``jax.ShapeDtypeStruct``.

    Raises:
      InputError: a leaf is an integer, a boolean, a key or complex.
    """
    for path, leaf in jax.tree.leaves_with_path(tree):
        if not jnp.issubdtype(leaf.dtype, np.floating):
            raise InputError(
                f"{at(name, path)} must be of a real floating type to be "
                f"differentiated by; got {leaf.dtype}"
            )


def require_scalar(name: str, value: Any) -> None:
    """Refuse a loss that is no real floating scalar.

    Args:
      name: the function whose result it is.
      value: array or ``jax.ShapeDtypeStruct``.

    Raises:
      InputError: it has axes, is a tree, or of another type.
    """
    if not hasattr(value, "dtype"):
        got = type(value).__name__
    elif value.shape or not jnp.issubdtype(value.dtype, np.floating):
        got = f"{value.dtype}{list(value.shape)}"
    else:
        return
    raise InputError(f"{name} must return a real floating scalar; got {got}")


def used_leaves(
    function: Callable[..., Any], theta: PyTree, *others: Any
) -> list[bool]:
    """Which leaves of ``theta`` a function's result depends on.

    Read off the program of the function, dead code removed, not off a derivative
    that happens to be zero. Costs one trace.

    Args:
      function: function of ``theta`` and others.
      theta: its first argument.
      *others: its other arguments, or their shapes.

    Returns:
      One boolean for each leaf, in their order.

    >>> used_leaves(lambda theta: theta["a"] ** 2, {"a": 1.0, "b": 2.0})
    [True, False]
    """
    jaxpr = jax.make_jaxpr(function)(theta, *others).jaxpr
    _, used = partial_eval.dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))
    return list(used)[: len(jax.tree.leaves(theta))]


def require_used(used: Sequence[bool], theta: PyTree, by: str) -> None:
    """Refuse leaves of ``theta`` that are not used.

    Args:
      used: what ``used_leaves`` gave.
      theta: the outer parameters.
      by: what does not use them, for the error.

    Raises:
      InputError: a leaf is not used; its path is named.
    """
    paths = [path for path, _ in jax.tree.leaves_with_path(theta)]
    idle = [at("theta", p) for p, u in zip(paths, used, strict=True) if not u]
    if idle:
        raise InputError(
            f"{by} does not depend on {trees.summary(idle)}: the gradient there would "
            "be zero whatever its value (allow_unused=True accepts that)"
        )


def at(name: str, path: Any) -> str:
    """A leaf in an error: the name of the tree, and the path if it has one.

    Args:
      name: of the tree.
      path: of the leaf; empty for a tree that is one.

    Returns:
      The text.
    """
    return f"{name}: {trees.path_name(path)}" if path else name


def as_arrays(tree: PyTree) -> PyTree:
    """The tree with its numbers as arrays; shapes and keys are left alone.

    Args:
      tree: of numbers, arrays, shapes or typed keys.

    Returns:
      The tree; a number becomes an array of jax's default type.
    """
    return jax.tree.map(lambda x: x if hasattr(x, "dtype") else jnp.asarray(x), tree)
