"""Walks over traced programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


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
