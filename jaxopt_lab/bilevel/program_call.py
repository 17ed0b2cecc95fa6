"""A traced program, called in the way that costs the current trace least."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jax.extend import core

from jaxopt_lab.bilevel.repeated_pieces import in_pieces

# The trace of `jit`, which notes equations.
_NOTES = "DynamicJaxprTrace"


class ProgramCall:
    """A program that is one call of ``jit``, as a function of arrays.

    Where the current trace notes equations, the call is put into it whole and without
    its border. Under derivatives and ``vmap`` inside of a ``jit`` its pieces are, for
    which jax keeps what it made of them. Outside of ``jit`` it runs operation by
    operation, as the original does.

    Args:
      closed: the program; one of several equations, where ``jit`` is disabled, runs
        operation by operation.
    """

    def __init__(self, closed: core.ClosedJaxpr):
        self._closed = closed
        eqns = closed.jaxpr.eqns
        is_call = len(eqns) == 1 and "inline" in eqns[0].params
        self._call: Any = eqns[0] if is_call else None
        self._whole: Callable[..., Any] | None = None
        self._pieces: Callable[..., Any] | None = None

    def __call__(self, *arrays: Any) -> list[Any]:
        if self._call is None:
            return core.jaxpr_as_fun(self._closed)(*arrays)
        noted, in_jit = _in_jit()
        if noted:
            self._whole = self._whole or self._without_border()
            return self._whole(*arrays)
        params = self._call.params
        if in_jit:
            at_once = _at_once(params["inline"])
            self._pieces = self._pieces or in_pieces(params["jaxpr"], at_once)
            run = self._pieces
        else:
            run = core.jaxpr_as_fun(params["jaxpr"])
        jaxpr = self._closed.jaxpr
        values = dict(zip(jaxpr.constvars, self._closed.consts, strict=True))
        values.update(zip(jaxpr.invars, arrays, strict=True))
        read = lambda v: v.val if isinstance(v, core.Literal) else values[v]
        results = run(*map(read, self._call.invars))
        values.update(zip(self._call.outvars, results, strict=True))
        return list(map(read, jaxpr.outvars))

    def _without_border(self) -> Callable[..., Any]:
        params = self._call.params
        params = {**params, "inline": _at_once(params["inline"])}
        jaxpr = self._closed.jaxpr.replace(eqns=[self._call.replace(params=params)])
        return core.jaxpr_as_fun(self._closed.replace(jaxpr=jaxpr))


def _at_once(inline: Any) -> Any:
    """The option with which a call leaves no border in a trace, of the same type."""
    # From jax 0.12 on not a boolean, of which True then means: when it is lowered.
    return True if isinstance(inline, bool) else type(inline).JAX_EARLY


def _in_jit() -> tuple[bool, bool]:
    """Whether the current trace notes equations, and whether it or one around does."""
    with core.take_current_trace() as trace:
        names = [type(trace).__name__]
        while (trace := getattr(trace, "parent_trace", None)) is not None:
            names.append(type(trace).__name__)
    return names[0] == _NOTES, _NOTES in names
