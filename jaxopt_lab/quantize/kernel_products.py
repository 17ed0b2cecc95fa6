"""The operations of a model's program that take its kernels."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import jax
import jax.extend

from jaxopt_lab.core import trees
from jaxopt_lab.core.typing import Params

INLINED = frozenset({"jit", "pjit", "closed_call"})
"""Operations whose inner program is run in their stead."""
DIFFERENTIATED = frozenset({"checkpoint", "custom_jvp_call", "custom_vjp_call"})
"""Likewise, where the derivative does not matter."""

_PROGRAMS = {
    **dict.fromkeys(("jit", "pjit", "checkpoint"), "jaxpr"),
    **dict.fromkeys(
        ("closed_call", "custom_jvp_call", "custom_vjp_call"), "call_jaxpr"
    ),
}
Visit = Callable[[Any, Sequence[Any], Sequence[str | None]], Any]


def run_watched(
    function: Callable[..., Any],
    names: Collection[str],
    params: Params,
    others: tuple[Any, ...],
    visit: Visit,
    *,
    inline: Collection[str] = INLINED,
) -> Any:
    """Run a function operation by operation, telling which operands are kernels.

    Args:
      function: ``function(params, *others)``.
      names: paths of the kernels (``"layer/kernel"``); a cast kernel is still one.
      params: the parameters.
      others: further arguments.
      visit: ``visit(eqn, values, names)`` sees every operation that is not inlined,
        with its operands and, for each, the path of the kernel that it is or None. It
        returns the result of an operation of one result in its stead, or None.
      inline: operations whose inner program is gone through; the rest, loops among
        them, are run as they are.

    Returns:
      The results.
    """
    closed, shapes = jax.make_jaxpr(function, return_shape=True)(params, *others)
    args = jax.tree.leaves((params, *others))
    origins = [
        name if (name := trees.path_name(path)) in names else None
        for path, _ in trees.leaves_with_path(params)
    ]
    origins += [None] * (len(args) - len(origins))
    results, _ = _run(closed, args, origins, visit, inline)
    return jax.tree.unflatten(jax.tree.structure(shapes), results)


def contracted_inputs(dimensions: Any, kernel: int, ndim: int) -> list[int] | None:
    """The axes of the other operand that meet the inputs of a kernel.

    Args:
      dimensions: ``dimension_numbers`` of a ``dot_general``.
      kernel: which operand is the kernel, 0 or 1.
      ndim: number of its axes.

    Returns:
      They, in the order of the kernel's; None where the product does not contract all
      axes of the kernel but its last.

    >>> contracted_inputs((((2,), (0,)), ((), ())), 1, 2)
    [2]
    """
    contracted, batched = dimensions
    inputs = list(range(ndim - 1))
    if batched[kernel] or sorted(contracted[kernel]) != inputs:
        return None
    other = contracted[1 - kernel]
    return [other[list(contracted[kernel]).index(i)] for i in inputs]


def _run(
    closed: Any,
    args: Sequence[Any],
    origins: Sequence[str | None],
    visit: Visit,
    inline: Collection[str],
) -> tuple[list[Any], list[str | None]]:
    """Results of a program, and which of them are kernels."""
    jaxpr = closed.jaxpr
    env: dict[Any, Any] = dict(zip(jaxpr.constvars, closed.consts, strict=True))
    env.update(zip(jaxpr.invars, args, strict=True))
    origin: dict[Any, str | None] = dict(zip(jaxpr.invars, origins, strict=True))

    def read(v: Any) -> Any:
        return v.val if isinstance(v, jax.extend.core.Literal) else env[v]

    def name_of(v: Any) -> str | None:
        return None if isinstance(v, jax.extend.core.Literal) else origin.get(v)

    for eqn in jaxpr.eqns:
        values, names = list(map(read, eqn.invars)), list(map(name_of, eqn.invars))
        kind = eqn.primitive.name
        outs: list[str | None] = [None] * len(eqn.outvars)
        if kind in inline:
            inner = eqn.params[_PROGRAMS[kind]]
            if not hasattr(inner, "consts"):
                inner = jax.extend.core.ClosedJaxpr(inner, ())
            results, outs = _run(inner, values, names, visit, inline)
        else:
            found = visit(eqn, values, names)
            results = _alone(jaxpr, eqn, values) if found is None else [found]
            if kind == "convert_element_type":
                outs = names
        env.update(zip(eqn.outvars, results, strict=True))
        origin.update(zip(eqn.outvars, outs, strict=True))
    return [read(v) for v in jaxpr.outvars], [name_of(v) for v in jaxpr.outvars]


def _alone(jaxpr: Any, eqn: Any, values: Sequence[Any]) -> Sequence[Any]:
    """The results of one operation of a program."""
    literal = jax.extend.core.Literal
    names = [v for v in eqn.invars if not isinstance(v, literal)]
    given = [
        value
        for v, value in zip(eqn.invars, values, strict=True)
        if not isinstance(v, literal)
    ]
    unknown = jaxpr.debug_info.with_unknown_names()
    one = jaxpr.replace(
        constvars=[], invars=names, outvars=eqn.outvars, eqns=[eqn], debug_info=unknown
    )
    closed = jax.extend.core.ClosedJaxpr(one, ())
    return jax.extend.core.jaxpr_as_fun(closed)(*given)
