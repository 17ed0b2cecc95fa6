"""A function of trees whose derivatives are finite wherever they are."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import jax
from jax.core import eval_context
from jax.extend import core

from jaxopt_lab.bilevel.opaque_call import arrays_only, opaque_call
from jaxopt_lab.bilevel.program_call import ProgramCall
from jaxopt_lab.bilevel.rewrite_jaxpr import rewrite_jaxpr
from jaxopt_lab.bilevel.safe_primitives import Slopes

# Traced programs cached for one transformation; a training run needs two.
_CACHE_SIZE = 32
_SETTINGS = (
    "jax_enable_x64",
    "jax_numpy_dtype_promotion",
    "jax_default_matmul_precision",
)

with eval_context():
    _NOT_TRACING = core.get_opaque_trace_state()


class SafeFunction:
    """A function of trees, traced once for each kind of arguments.

    Args:
      fn: the function.
      eps_root: as of ``differentiable``.
      max_slope: likewise.
    """

    def __init__(
        self, fn: Callable[..., Any], eps_root: float, max_slope: float | None
    ):
        self._fn = fn
        self._slopes = Slopes(eps_root, max_slope)
        self._programs: OrderedDict[Any, tuple[Any, Callable[..., Any]]] = OrderedDict()

    def __call__(self, *args: Any, **extra: Any) -> Any:
        if not self._slopes.eps_root and core.get_opaque_trace_state() == _NOT_TRACING:
            # Nothing is differentiated here, and eager values keep their sharding.
            return self._fn(*args, **extra)
        opaque = jax.tree.map(
            lambda x: opaque_call(x) if callable(x) else x, extra, is_leaf=callable
        )
        run, arrays, rebuild = arrays_only(self._fn, args, opaque)
        # The closure of a callable may change from call to call.
        known = not any(map(callable, jax.tree.leaves(opaque, is_leaf=callable)))
        key = _key(args, opaque, arrays) if known else None
        if key in self._programs:
            self._programs.move_to_end(key)
            program, rebuild = self._programs[key]
        else:
            traced = jax.make_jaxpr(jax.jit(run))(arrays)
            program = ProgramCall(rewrite_jaxpr(traced, self._slopes))
            # Effects (of collectives) belong to the call, so they are not cached.
            if key is not None and not traced.effects:
                self._programs[key] = program, rebuild
                if len(self._programs) > _CACHE_SIZE:
                    self._programs.popitem(last=False)
        return rebuild(program(*arrays))


def _key(args: Any, extra: Any, arrays: list[Any]) -> Any:
    """Cache key: all that a trace depends on; ``None`` if it is not hashable."""
    leaves, treedef = jax.tree.flatten((args, extra))
    types = tuple(map(jax.typeof, arrays))
    places = {id(a) for a in arrays}
    static = tuple(None if id(x) in places else (type(x), x) for x in leaves)
    settings = tuple(getattr(jax.config, name) for name in _SETTINGS)
    mesh = jax.sharding.get_abstract_mesh()
    key = (treedef, static, types, settings, mesh)
    try:
        hash(key)
    except TypeError:
        return None
    return key
