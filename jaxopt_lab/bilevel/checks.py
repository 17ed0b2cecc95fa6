"""Checks of an inner problem before it is differentiated; errors name the paths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax.interpreters import partial_eval

from jaxopt_lab.bilevel.carry_tools import check_kept
from jaxopt_lab.bilevel.hypergrad_unrolled import Episode, Outer, last_step_loss
from jaxopt_lab.bilevel.inner import Carry, InnerProblem, Theta, optimality_of
from jaxopt_lab.bilevel.options import ImplicitMode
from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import PyTree

_IMPLICIT = get_args(ImplicitMode)
_SUMMED = ("reverse", "forward", "es", "pes")


def check_start(start: PyTree, expected: PyTree, name: str = "start") -> None:
    """Refuse a start carry whose structure, shapes or dtypes are not those of ``init``.

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
    """The leaves of ``theta`` on which a function's result depends.

    Determined by dead-code elimination in the jaxpr, so that a derivative that happens
    to be zero does not count as unused. Costs one trace.

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


def require_field(inner: InnerProblem, name: str, mode: str) -> None:
    """Refuse a problem without a field that the mode needs.

    Args:
      inner: the problem.
      name: ``"objective"`` (``optimality`` is accepted instead) or
        ``"window_loss"``.
      mode: the mode, for the error.

    Raises:
      InputError: the field is not set; it is named.
    """
    if getattr(inner, name) is not None:
        return
    if name == "objective":
        if inner.optimality is not None:
            return
        name = "objective (or inner.optimality)"
    raise InputError(f"mode {mode!r} needs inner.{name}, which is not given")


def check_losses(outer: Outer | None, inner: InnerProblem, mode: str) -> None:
    """Refuse a mode that lacks its losses.

    Args:
      outer: the outer loss, or ``None``.
      inner: the problem.
      mode: the mode.

    Raises:
      InputError: the outer loss or a field of the problem is missing (named), or the
        outer loss is given to mode pes.
    """
    if mode in _IMPLICIT:
        require_field(inner, "objective", mode)
    if mode == "pes" and outer is not None:
        raise InputError(
            "mode 'pes' sums inner.window_loss over the steps: outer must be None"
        )
    if outer is None:
        if mode not in _SUMMED:
            raise InputError(f"mode {mode!r} needs outer; got None")
        require_field(inner, "window_loss", mode)


def check_scalar(
    outer: Outer | None, inner: InnerProblem, theta: Theta, carry: Carry
) -> None:
    """Refuse an outer loss that is no real scalar.

    Args:
      outer: the outer loss, or ``None`` for ``inner.window_loss``.
      inner: the problem.
      theta: outer parameters.
      carry: shapes of a carry.

    Raises:
      InputError: it is an array with axes, a tree, or of another type.
    """
    if outer is not None:
        value = jax.eval_shape(lambda th, c: outer(th, inner.read(c)), theta, carry)
        require_scalar("outer", value)
    elif inner.window_loss is not None:
        t = jax.ShapeDtypeStruct((), jnp.int32)
        value = jax.eval_shape(inner.window_loss, theta, carry, t)
        require_scalar("inner.window_loss", value)


def used_by(
    mode: str, episode: Episode, theta: Theta, carry: Carry
) -> tuple[list[bool], str]:
    """The leaves of theta that the mode differentiates: each mode differentiates
    another function.

    Args:
      mode: the mode.
      episode: the loop.
      theta: outer parameters.
      carry: shapes of a carry.

    Returns:
      One boolean for each leaf, and what uses them, for an error.
    """
    inner, outer = episode.inner, episode.outer
    if mode in _IMPLICIT:
        assert outer is not None
        condition, read = optimality_of(inner), inner.read
        used = used_leaves(
            lambda th, c: (outer(th, read(c)), condition(th, read(c))), theta, carry
        )
        return used, "inner.objective" if inner.optimality is None else (
            "inner.optimality"
        )
    if mode == "one_step":
        used = used_leaves(
            lambda th, c: last_step_loss(episode, th, c)[0], theta, carry
        )
        return used, "the last step"
    whole = "the loop" if episode.start is None else "the loop (init is not run)"
    if mode == "pes":
        # Particles started from init at other values of theta, so init counts as used.
        episode, whole = episode._replace(start=None), "the loop"
    return used_leaves(lambda th: episode.loss(th, "none")[0], theta), whole


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
