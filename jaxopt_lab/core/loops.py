"""Loops in three modes: unrolled, vectorised, or as a scan.

The best mode depends on the backend. XLA:CPU runs a convolution inside a
``scan`` 20 to 40 times slower than outside it, and a convolution with batched
kernels (``vmap`` over parameters) 3 to 10 times slower; there, programs with
convolutions need Python-level unrolling. Dense programs, and accelerators, are best
with ``vmap`` (small items) or ``scan`` (bounded memory).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp

from jaxopt_lab.core import errors, jaxprs, trees
from jaxopt_lab.core.platforms import traced_for
from jaxopt_lab.core.typing import PyTree

Mode = Literal["unroll", "vmap", "scan"]
ModeOrAuto = Literal["auto", "unroll", "vmap", "scan"]


def check_mode(mode: str) -> Mode:
    """``mode`` itself, if it is one of the three.

    Args:
      mode: the name given.

    Returns:
      The same name.

    Raises:
      InputError: it is none of ``"unroll"``, ``"vmap"``, ``"scan"``.
    """
    if mode not in get_args(Mode):
        raise errors.unknown("mode", mode, get_args(Mode))
    return mode  # type: ignore[return-value]


def check_mode_or_auto(mode: str) -> ModeOrAuto:
    """``mode`` itself, if it is one of the three or ``"auto"``.

    Args:
      mode: the name given.

    Returns:
      The same name.

    Raises:
      InputError: it is none of them.
    """
    if mode not in get_args(ModeOrAuto):
        raise errors.unknown("mode", mode, get_args(ModeOrAuto))
    return mode  # type: ignore[return-value]


def contains_convolution(fn: Callable[..., Any], *args: Any) -> bool:
    """Whether the program of ``fn(*args)`` has a convolution anywhere in it.

    Args:
      fn: a traceable function.
      *args: its arguments; arrays, tracers or ``jax.ShapeDtypeStruct``.

    Returns:
      True if a convolution occurs, inside nested programs too. Costs one trace.
    """
    equations = jaxprs.equations(jax.make_jaxpr(fn)(*args).jaxpr)
    return any(eqn.primitive.name == "conv_general_dilated" for eqn in equations)


def choose(otherwise: Mode, fn: Callable[..., Any], *args: Any) -> Mode:
    """The mode for the present backend: ``"unroll"`` for convolutions on CPU.

    Args:
      otherwise: the mode for every other case.
      fn: the body of the loop.
      *args: arguments of one iteration.

    Returns:
      A mode.
    """
    if traced_for(args) == "cpu" and contains_convolution(fn, *args):
        return "unroll"
    return otherwise


def take(xs: PyTree, i: int | jax.Array) -> PyTree:
    """Item ``i`` along the leading axis of every leaf.

    Args:
      xs: tree of arrays with a common leading axis.
      i: the index, possibly traced.

    Returns:
      The tree without its leading axis.
    """
    return jax.tree.map(lambda x: x[i], xs)


def _length(xs: PyTree) -> int:
    return jax.tree.leaves(xs)[0].shape[0]


def stack(items: list[PyTree]) -> PyTree:
    """Trees of one structure as one tree with a new leading axis.

    Args:
      items: the trees, at least one.

    Returns:
      The stacked tree.
    """
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *items)


def map_items(f: Callable[[PyTree], PyTree], xs: PyTree, mode: Mode) -> PyTree:
    """``f`` of every item along the leading axis, results stacked.

    Args:
      f: function of one item.
      xs: tree of arrays with a common leading axis.
      mode: how to run the loop; the values are the same.

    Returns:
      The results with the leading axis.
    """
    if mode == "vmap":
        return jax.vmap(f)(xs)
    if mode == "scan":
        return jax.lax.map(f, xs)
    return stack([f(take(xs, i)) for i in range(_length(xs))])


def mean_items(f: Callable[[PyTree], PyTree], xs: PyTree, mode: Mode) -> PyTree:
    """Mean over the items of ``f(item)``.

    Floating leaves are averaged, in float32 or better; all others (counts, typed
    keys) are those of the first item. Memory: one result, except for ``"vmap"``,
    which holds them all.

    Args:
      f: function of one item.
      xs: tree of arrays with a common leading axis.
      mode: how to run the loop.

    Returns:
      The mean, of the structure and dtypes of one result.
    """
    n = _length(xs)
    if mode == "vmap":
        results = jax.vmap(f)(xs)
        first = take(results, 0)
        total = jax.tree.map(
            lambda x, one: jnp.sum(_wide(x), axis=0) if _floating(x) else one,
            results,
            first,
        )
        return _mean(total, n, first)

    return mean_in_sequence(lambda x, carry: (f(x), carry), xs, (), mode)[0]


def mean_in_sequence(
    f: Callable[[PyTree, PyTree], tuple[PyTree, PyTree]],
    xs: PyTree,
    carry: PyTree,
    mode: Mode,
) -> tuple[PyTree, PyTree]:
    """Mean over the items of ``f(item, carry)[0]``, one after another.

    Args:
      f: function of one item and what the item before has left; gives a result and
        what it leaves, of one structure.
      xs: tree of arrays with a common leading axis.
      carry: for the first item.
      mode: ``"unroll"`` or ``"scan"``.

    Returns:
      The mean as of ``mean_items``, and what the last item has left.
    """
    n = _length(xs)
    # The first item initialises the sum: zeros would lack the manual axes over which
    # the results vary inside shard_map, and the type of a scan's carry would change.
    first, carry = f(take(xs, 0), carry)
    total = jax.tree.map(_wide, first)

    def added(so_far: PyTree, x: PyTree) -> tuple[PyTree, None]:
        total, carry = so_far
        result, carry = f(x, carry)
        return (_add(total, result), carry), None

    so_far = total, carry
    if mode == "scan" and n > 1:
        so_far, _ = jax.lax.scan(added, so_far, jax.tree.map(lambda x: x[1:], xs))
    else:
        for i in range(1, n):
            so_far, _ = added(so_far, take(xs, i))
    total, carry = so_far
    return _mean(total, n, first), carry


_floating = trees.is_floating


def _wide(x: jax.Array) -> jax.Array:
    return x.astype(trees.wide_dtype(x.dtype)) if _floating(x) else x


def _add(total: PyTree, item: PyTree) -> PyTree:
    return jax.tree.map(lambda t, x: t + _wide(x) if _floating(x) else t, total, item)


def _mean(total: PyTree, n: int, like: PyTree) -> PyTree:
    return jax.tree.map(
        lambda t, x: (t / n).astype(x.dtype) if _floating(x) else t, total, like
    )
