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
from jax.core import eval_jaxpr

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


def repeat(
    step: Callable[[jax.Array, PyTree], PyTree],
    number: int | jax.Array,
    state: PyTree,
    most: int | None = None,
) -> PyTree:
    """``state = step(i, state)`` for i from 0, ``number`` times.

    The values and derivatives of ``jax.lax.fori_loop``, which counts twice where it can
    be differentiated: XLA removes the second counter, one nest of loops at a time, and
    simplifies the whole program again after each. Here the loop itself is a plain one,
    and only its derivative is that of a scan.

    Args:
      step: function of the turn, an int32 scalar, and the state; it may close over
        arrays, with respect to which it is differentiated too.
      number: of turns, possibly traced.
      state: tree of arrays.
      most: bound of a traced ``number``. A derivative has as many turns, each under a
        ``cond``; memory of the reverse pass: as many states.

    Returns:
      The last state.

    >>> x = jnp.float32(2.0)
    >>> cube = lambda x: repeat(lambda i, y: x * y, 3, jnp.ones_like(x))
    >>> float(cube(x)), float(jax.grad(cube)(x))
    (8.0, 12.0)
    """
    if most is None and not isinstance(number, int):
        raise errors.InputError("repeat needs most: the number of turns is traced")
    turns = jnp.asarray(number, jnp.int32)
    # `closure_convert` would leave integers closed over, and their trace ends before.
    program, structure = jax.make_jaxpr(step, return_shape=True)(turns, state)
    structure, closed_over = jax.tree.structure(structure), program.consts

    def plain(i: jax.Array, state: PyTree, *closed_over: Any) -> PyTree:
        leaves = eval_jaxpr(program.jaxpr, closed_over, i, *jax.tree.leaves(state))
        return jax.tree.unflatten(structure, leaves)

    @jax.custom_jvp
    def run(turns: jax.Array, state: PyTree, closed_over: Any) -> PyTree:
        def turn(at: Any) -> Any:
            i, state = at
            return i + 1, plain(i, state, *closed_over)

        start = jnp.zeros_like(turns), state
        return jax.lax.while_loop(lambda at: at[0] < turns, turn, start)[1]

    def scanned(turns: jax.Array, state: PyTree, closed_over: Any) -> PyTree:
        def turn(i: jax.Array, state: PyTree) -> PyTree:
            i = i.astype(jnp.int32)
            one = lambda state: plain(i, state, *closed_over)
            if most is None:
                return one(state)
            return jax.lax.cond(i < turns, one, lambda state: state, state)

        return jax.lax.fori_loop(0, number if most is None else most, turn, state)

    @run.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        turns, *others = primals
        f = lambda *others: scanned(turns, *others)
        return jax.jvp(f, tuple(others), tuple(tangents[1:]))

    return run(turns, state, tuple(closed_over))


_floating = trees.is_floating


def _wide(x: jax.Array) -> jax.Array:
    return x.astype(trees.wide_dtype(x.dtype)) if _floating(x) else x


def _add(total: PyTree, item: PyTree) -> PyTree:
    return jax.tree.map(lambda t, x: t + _wide(x) if _floating(x) else t, total, item)


def _mean(total: PyTree, n: int, like: PyTree) -> PyTree:
    return jax.tree.map(
        lambda t, x: (t / n).astype(x.dtype) if _floating(x) else t, total, like
    )
