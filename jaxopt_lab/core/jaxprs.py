"""Walks over traced programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

CALLS = frozenset(["jit", "pjit", "closed_call", "core_call"])
"""Primitives that call a program and nothing else."""


def subprograms(eqn: Any) -> Iterator[Any]:
    """The programs nested in an equation: bodies of loops, branches, called functions.

    Args:
      eqn: an equation of a ``Jaxpr``.

    Yields:
      Each ``Jaxpr`` among its parameters, closed or not, as an open one.

    >>> import jax
    >>> program = jax.make_jaxpr(jax.jit(lambda x: 2 * x))(1.0).jaxpr
    >>> [[e.primitive.name for e in sub.eqns] for sub in subprograms(program.eqns[0])]
    [['mul']]
    """
    for value in eqn.params.values():
        for sub in value if isinstance(value, tuple | list) else (value,):
            inner = getattr(sub, "jaxpr", sub)
            if hasattr(inner, "eqns"):
                yield inner


def equations(jaxpr: Any) -> Iterator[Any]:
    """All equations of a program, those of nested programs included.

    Args:
      jaxpr: a ``Jaxpr``.

    Yields:
      Equations; one that has nested programs comes before theirs.
    """
    for eqn in jaxpr.eqns:
        yield eqn
        for inner in subprograms(eqn):
            yield from equations(inner)


def evaluated(
    jaxpr: Any,
    consts: Sequence[Any],
    arguments: Sequence[Any],
    *,
    calls: frozenset[str] = CALLS,
    rules: Mapping[str, Callable[..., Any]] | None = None,
    wanted: Sequence[Any] | None = None,
) -> list[Any]:
    """The values of a program, its calls written out.

    Args:
      jaxpr: a ``Jaxpr``.
      consts: values of its constants.
      arguments: values of its inputs; arrays or tracers.
      calls: primitives whose programs are written out.
      rules: functions instead of primitives of one result, by their names; given the
        operands and the primitive's parameters.
      wanted: variables of the program to return; ``None``: its results.

    Returns:
      The values.

    >>> import jax
    >>> program = jax.make_jaxpr(lambda x: jax.jit(jax.numpy.sin)(x) + 1)(0.0)
    >>> double = {"sin": lambda x, **params: 2 * x}
    >>> evaluated(program.jaxpr, program.consts, [3.0], rules=double)
    [Array(7., dtype=float32, weak_type=True)]
    """
    rules = rules or {}
    values = dict(zip(jaxpr.constvars, consts, strict=True))
    values |= dict(zip(jaxpr.invars, arguments, strict=True))

    def read(v: Any) -> Any:
        return v.val if hasattr(v, "val") else values[v]

    for line in jaxpr.eqns:
        given = [read(v) for v in line.invars]
        name = line.primitive.name
        if name in calls:
            inner = line.params.get("jaxpr") or line.params["call_jaxpr"]
            results = evaluated(
                inner.jaxpr, inner.consts, given, calls=calls, rules=rules
            )
        elif name in rules:
            results = [rules[name](*given, **line.params)]
        else:
            params = line.primitive.get_bind_params(line.params)
            with line.ctx.manager:  # as where the line was written
                results = line.primitive.bind(*given, **params)
            results = results if line.primitive.multiple_results else [results]
        values |= dict(zip(line.outvars, results, strict=True))
    return [read(v) for v in (jaxpr.outvars if wanted is None else wanted)]


def scan_counts(params: Mapping[str, Any]) -> tuple[int, int]:
    """The numbers of constants and carries of a scan.

    Args:
      params: of its equation.

    Returns:
      Both.
    """
    if "num_consts" in params:
        return params["num_consts"], params["num_carry"]
    # From jax 0.12 on: trees of constants, carries and items.
    consts, carries, _ = params["ft_in"].unpack()
    return len(consts), len(carries)
