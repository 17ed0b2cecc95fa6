"""Running Python op by op, on arrays that are no tracers, without a program an op.

Outside of ``jit`` every operation at every shape is a program of its own. Here the
function is traced once, one program computes what each of its operations gives, and
a second run, in plain Python, takes its values from there. To the function that run
is one outside of ``jit``: every value is a concrete array. An operation that the
trace has not seen, as after a branch that asks whether a value is traced, is compiled
by itself, as it always is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax._src import core

from battery import programs

Known = dict[Any, list[Any]]


def _bytes(x: Any) -> Any:
    # An operation on a key, in the middle of another operation.
    with core.set_current_trace(core.eval_trace):
        x = np.asarray(programs.without_keys(x))
    return x.dtype.name, x.shape, x.tobytes()


def _inner(primitive: Any, params: Any) -> Any:
    """The program whose operations stand for such a one, or None.

    ``inline`` is a boolean in jax 0.10, and a trace has the operations alone; it is one
    of ``jax.Inline``, all of them true, in jax 0.12, and a trace has the program.
    """
    if primitive.name in ("custom_jvp_call", "custom_vjp_call"):
        return params.get("call_jaxpr") or params["fun_jaxpr"]
    if primitive.name not in ("jit", "pjit"):
        return None
    inline = params["inline"]
    early = getattr(inline, "name", "") in ("JAX_EARLY", "JAX_LATE")
    return params["jaxpr"] if inline is True or early else None


# ``a < b`` of an array of NumPy and one of JAX is ``b > a``.
_MIRRORED = {"gt": "lt", "ge": "le"}


def _key(primitive: Any, params: Any, args: Any) -> Any:
    name = _MIRRORED.get(primitive.name, primitive.name)
    given = tuple(map(_bytes, args))
    given = given if name == primitive.name else given[::-1]
    return name, str(sorted(params.items())), given


def _is_literal(primitive: Any, args: Any, params: Any) -> bool:
    # Of a number a trace makes a literal, without an operation.
    return (
        primitive.name == "convert_element_type"
        and np.shape(args[0]) == ()
        and not params["weak_type"]
        and params["new_dtype"] in (np.float64, np.float32, np.int32, np.int64)
        and np.asarray(args[0]).dtype
        in (np.float64, np.float32, np.bool_, np.int64, np.int32)
    )


class _Remembering(core.Trace):
    """Evaluates as outside of ``jit``, known operations from memory."""

    def __init__(self, known: Known):
        super().__init__()
        self.known = known

    def stage_value(self, val: Any) -> Any:
        return jax.device_put(val, may_alias=False)

    def process_primitive(self, primitive: Any, args: Any, params: Any, /) -> Any:
        if closed := _inner(primitive, params):
            with core.set_current_trace(self):
                return core.eval_jaxpr(closed.jaxpr, closed.consts, *args)
        if _is_literal(primitive, args, params):
            return jax.device_put(np.asarray(args[0]).astype(params["new_dtype"]))
        key = _key(primitive, params, args)
        if key not in self.known:
            with core.set_current_trace(core.eval_trace):
                found = core.eval_trace.process_primitive(primitive, args, params)
            self.known[key] = list(found) if primitive.multiple_results else [found]
        # New buffers, as an operation gives them: two of them may be given away.
        found = [jax.device_put(x, may_alias=False) for x in self.known[key]]
        return found if primitive.multiple_results else found[0]

    def process_custom_jvp_call(self, primitive, fun, jvp, tracers, /, **_):
        with core.set_current_trace(self):
            return fun.call_wrapped(*tracers)

    def process_custom_vjp_call(self, primitive, fun, fwd, bwd, tracers, /, **_):
        with core.set_current_trace(self):
            return fun.call_wrapped(*tracers)


def _operations(closed: Any, args: Any) -> list[Any]:
    """``(equation, inputs, outputs)`` of every operation of a traced function."""
    jaxpr = closed.jaxpr
    names = list(dict.fromkeys(v for eqn in jaxpr.eqns for v in eqn.outvars))
    names = [v for v in names if not isinstance(v, core.DropVar)]
    whole = closed.replace(jaxpr=jaxpr.replace(outvars=names, debug_info=None))
    env = dict(zip(jaxpr.constvars, closed.consts, strict=True))
    env.update(zip(jaxpr.invars, args, strict=True))
    env.update(zip(names, core.jaxpr_as_fun(whole)(*args), strict=True))

    def read(v: Any) -> Any:
        return v.val if isinstance(v, core.Literal) else env.get(v)

    found = []
    for eqn in jaxpr.eqns:
        given = [read(v) for v in eqn.invars]
        if inner := _inner(eqn.primitive, eqn.params):
            found += _operations(inner, given)
        else:
            found.append((eqn, given, [read(v) for v in eqn.outvars]))
    return found


class OpByOp:
    """Runs functions op by op; what is known of their operations is kept."""

    def __init__(self):
        self._known: Known = {}
        self._programs: dict[Any, Any] = {}

    def __call__(self, fn: Callable[..., Any], *args: Any) -> Any:
        """``fn(*args)``, every value in it concrete."""
        types = tuple(map(jax.typeof, jax.tree.leaves(args)))
        program = (fn, jax.tree.structure(args), tuple(map(str, types)))
        if program not in self._programs:
            try:
                self._programs[program] = self._program(fn, *args)
            except Exception:  # it cannot be traced; then every operation is compiled
                self._programs[program] = None
        if self._programs[program] is not None:
            equations, values = self._programs[program]
            done = values(*args)
            for eqn, (given, out) in zip(equations, done, strict=True):
                key = _key(eqn.primitive, eqn.params, given)
                self._known.setdefault(key, out)
        return self.run(fn, *args)

    def run(self, fn: Callable[..., Any], *args: Any) -> Any:
        """The same, nothing learned before."""
        with core.set_current_trace(_Remembering(self._known)):
            return fn(*args)

    def _program(self, fn: Callable[..., Any], *like: Any) -> Any:
        closed = jax.make_jaxpr(fn)(*like)
        equations: list[Any] = []

        def everything(*args: Any) -> Any:
            done = _operations(closed, jax.tree.leaves(args))
            equations[:] = [eqn for eqn, _, _ in done]
            return [(given, out) for _, given, out in done]

        return equations, programs.compiled(everything, *like)
