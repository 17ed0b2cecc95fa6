"""Programs of the battery: counted, quickly compiled, and several in one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.extend
import jax.monitoring
from support import compiler

# Half and a third of the usual time to compile. Values are compared with tolerances;
# not for programs whose bytes or operations are counted.
UNFUSED = (
    {"xla_cpu_use_fusion_emitters": False}
    if compiler.known("--xla_cpu_use_fusion_emitters=false")
    else {}
)
QUICK = {"xla_backend_optimization_level": 0, **UNFUSED}

_EVENT = "/jax/core/compile/backend_compile_duration"
_counts: list[int] = [0]


def _count(event: str, seconds: float, **_: Any) -> None:
    _counts[0] += event == _EVENT


jax.monitoring.register_event_duration_secs_listener(_count)


class Tally:
    """Number of programs compiled, or read from the cache of compiled programs."""

    def __init__(self):
        self.programs = 0

    @contextlib.contextmanager
    def counting(self) -> Iterator[None]:
        """Add those of a ``with`` block."""
        before = _counts[0]
        try:
            yield
        finally:
            self.programs += _counts[0] - before


def compiled(
    fn: Callable[..., Any], *args: Any, options: Mapping[str, Any] = QUICK
) -> Callable[..., Any]:
    """``fn`` quickly compiled for such arguments."""
    return jax.jit(fn).lower(*args).compile(compiler_options=dict(options))


def without_keys(tree: Any) -> Any:
    """The tree with the bits of each typed key in its place; numpy knows no keys."""

    def bits(x: Any) -> Any:
        is_key = hasattr(x, "dtype") and jax.dtypes.issubdtype(
            x.dtype, jax.dtypes.prng_key
        )
        return jax.random.key_data(x) if is_key else x

    return jax.tree.map(bits, tree)


Part = tuple[Callable[..., Any], tuple[Any, ...]]


class Together:
    """The values of several functions, computed by one program.

    Each is traced by itself, so that an error is reported where its value is asked
    for and nowhere else.
    """

    def __init__(
        self,
        parts: Mapping[str, Callable[[], Part]],
        *,
        apart: bool = False,
        options: Mapping[str, Any] = QUICK,
    ):
        """Args:
        parts: by name, what makes a function and its arguments.
        apart: compile each when it is asked for instead of all together.
        options: of the compiler.
        """
        self._parts = parts
        self._apart = apart
        self._options = options
        self._traced: dict[str, Any] = {}
        self._values: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        """The value of one of them: numpy arrays, keys as their bits."""
        if name not in self._traced:
            names = [name] if self._apart else list(self._parts)
            self._traced.update({n: self._trace(n) for n in names})
        traced = self._traced[name]
        if isinstance(traced, Exception):
            raise traced
        if name not in self._values:
            sound = [n for n, t in self._traced.items() if not isinstance(t, Exception)]
            self._values.update(self._compute([name] if self._apart else sound))
        return self._values[name]

    def _trace(self, name: str) -> Any:
        try:
            fn, args = self._parts[name]()
            closed, shapes = jax.make_jaxpr(
                lambda *a: without_keys(fn(*a)), return_shape=True
            )(*args)
        except Exception as error:
            return error
        return closed, args, jax.tree.structure(shapes)

    def _compute(self, names: list[str]) -> dict[str, Any]:
        def everything(given: Any) -> Any:
            return {
                name: jax.extend.core.jaxpr_as_fun(self._traced[name][0])(*leaves)
                for name, leaves in given.items()
            }

        given = {name: jax.tree.leaves(self._traced[name][1]) for name in names}
        run = compiled(everything, given, options=self._options)
        found = jax.device_get(run(given))
        return {n: jax.tree.unflatten(self._traced[n][2], x) for n, x in found.items()}
