"""Rewrite a jaxpr with safe primitives instead of jax's own.

Primitives are replaced equation by equation, without evaluation: the same operations
in the same order, inside the same nested programs of the same names (the boundaries
within which XLA fuses). So the values are the same to the last bit, and the cost is
one pass over the equations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import jax.numpy as jnp
from jax.extend import core

from jaxopt_lab.bilevel.opaque_call import is_opaque
from jaxopt_lab.bilevel.safe_primitives import Slopes
from jaxopt_lab.bilevel.safe_rules import ALWAYS, BEFORE_SELECT
from jaxopt_lab.bilevel.safe_rules_factorizations import factorization
from jaxopt_lab.core.jaxprs import scan_counts

# For each variable, whether a later `select` may discard it.
Selected: TypeAlias = tuple[bool, ...]

_CALLS = frozenset({"jit", "pjit", "closed_call", "core_call", "checkpoint", "remat2"})


def rewrite_jaxpr(closed: core.ClosedJaxpr, slopes: Slopes) -> core.ClosedJaxpr:
    """The same program with safe derivatives.

    Calls with a rule of their own (``custom_jvp``, ``custom_vjp``) and opaque
    callables keep their derivatives: their authors define them.

    Args:
      closed: the program.
      slopes: deliberate changes; see ``Slopes``.

    Returns:
      A program with the same inputs, outputs and constants.
    """
    nothing = (False,) * len(closed.jaxpr.outvars)
    return closed.replace(
        jaxpr=_JaxprRewriter(slopes).program(closed.jaxpr, nothing)[0]
    )


class _JaxprRewriter:
    """One pass; equal nested programs stay the same object and compile once."""

    def __init__(self, slopes: Slopes):
        self._slopes = slopes
        self._done: dict[tuple[int, Selected], tuple[Any, Selected]] = {}

    def program(self, jaxpr: Any, selected: Selected) -> tuple[Any, Selected]:
        """The new program, and for each input whether a ``select`` may discard it.

        A discarded value may be NaN (the root of a negative number in
        optax's RAdam): its cotangent is zero, and zero times NaN comes back through
        the multiplications before it. So these multiplications, and only these, need
        safe rules too. The walk is backward, from the results.
        """
        key = (id(jaxpr), selected)
        if key not in self._done:
            self._done[key] = self._walk(jaxpr, selected)
        return self._done[key]

    def _walk(self, jaxpr: Any, selected: Selected) -> tuple[Any, Selected]:
        discarded = {
            v
            for v, s in zip(jaxpr.outvars, selected, strict=True)
            if s and not isinstance(v, core.Literal)
        }
        eqns = []
        for eqn in reversed(jaxpr.eqns):
            here = tuple(v in discarded for v in eqn.outvars)
            new, before = self._equation(eqn, here)
            discarded.update(
                v
                for v, s in zip(eqn.invars, before, strict=True)
                if s and not isinstance(v, core.Literal)
            )
            eqns.append(new)
        eqns.reverse()
        inputs = tuple(v in discarded for v in jaxpr.invars)
        if all(a is b for a, b in zip(eqns, jaxpr.eqns, strict=True)):
            return jaxpr, inputs
        return jaxpr.replace(eqns=eqns), inputs

    def _equation(self, eqn: Any, selected: Selected) -> tuple[Any, Selected]:
        name = eqn.primitive.name
        everywhere = (any(selected),) * len(eqn.invars)
        if name == "select_n":
            return eqn, (False,) + (True,) * (len(eqn.invars) - 1)
        if is_opaque(eqn) or name.startswith("custom_"):
            return eqn, everywhere
        if name in _NESTED:
            return _NESTED[name](self, eqn, selected)
        if name in _CALLS:
            return self._call(eqn, selected)
        safe = self._safe(eqn, selected)
        if safe is None:
            return eqn, everywhere
        params = {**eqn.params, "slopes": self._slopes}
        return eqn.replace(primitive=safe, params=params), everywhere

    def _safe(self, eqn: Any, selected: Selected) -> core.Primitive | None:
        aval = eqn.outvars[0].aval
        if not jnp.issubdtype(getattr(aval, "dtype", bool), jnp.floating):
            return None
        name = eqn.primitive.name
        if name in ("svd", "eigh", "qr"):
            return factorization(name, eqn.invars[0].aval.shape, eqn.params)
        if any(selected) and name in BEFORE_SELECT:
            return BEFORE_SELECT[name]
        return ALWAYS.get(name)

    def _nested(self, inner: Any, selected: Selected) -> tuple[Any, Selected]:
        if not isinstance(inner, core.ClosedJaxpr):
            return self.program(inner, selected)
        new, before = self.program(inner.jaxpr, selected)
        return (inner if new is inner.jaxpr else inner.replace(jaxpr=new)), before

    def _call(self, eqn: Any, selected: Selected) -> tuple[Any, Selected]:
        key = "jaxpr" if "jaxpr" in eqn.params else "call_jaxpr"
        old = eqn.params[key]
        new, before = self._nested(old, selected)
        if new is old:
            return eqn, before
        return eqn.replace(params={**eqn.params, key: new}), before

    def _cond(self, eqn: Any, selected: Selected) -> tuple[Any, Selected]:
        # Under `vmap` over the predicate it becomes a select of both branches.
        every = (True,) * len(selected)
        done = [self._nested(branch, every) for branch in eqn.params["branches"]]
        before = tuple(map(any, zip(*(b for _, b in done), strict=True)))
        params = {**eqn.params, "branches": tuple(new for new, _ in done)}
        return eqn.replace(params=params), (False, *before)

    def _scan(self, eqn: Any, selected: Selected) -> tuple[Any, Selected]:
        consts, carries = scan_counts(eqn.params)
        body = eqn.params["jaxpr"]
        new, before = self._loop(body, selected, consts, carries)
        return eqn.replace(params={**eqn.params, "jaxpr": new}), before

    def _while(self, eqn: Any, selected: Selected) -> tuple[Any, Selected]:
        # Under `vmap` over the condition every carry is a select of old and new.
        p = eqn.params
        every = (True,) * len(selected)
        new, inside = self._loop(
            p["body_jaxpr"], every, p["body_nconsts"], len(selected)
        )
        before = (False,) * p["cond_nconsts"] + inside[: p["body_nconsts"]] + every
        return eqn.replace(params={**p, "body_jaxpr": new}), before

    def _loop(
        self, body: Any, selected: Selected, consts: int, carries: int
    ) -> tuple[Any, Selected]:
        # A carry discarded in one iteration was computed in the one before: iterate to
        # a fixed point.
        while True:
            new, before = self._nested(body, selected)
            again = before[consts : consts + carries]
            grown = tuple(
                s or (i < carries and again[i]) for i, s in enumerate(selected)
            )
            if grown == selected:
                return new, before
            selected = grown


_NESTED: dict[str, Callable[[_JaxprRewriter, Any, Selected], tuple[Any, Selected]]] = {
    "cond": _JaxprRewriter._cond,
    "scan": _JaxprRewriter._scan,
    "while": _JaxprRewriter._while,
    "shard_map": _JaxprRewriter._call,
}
