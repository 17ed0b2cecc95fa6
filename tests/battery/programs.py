"""Programs of the battery: counted, quickly compiled, and several in one."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.extend
import jax.monitoring
import jax.numpy as jnp
import numpy as np
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


class _Traced(NamedTuple):
    """A traced function: its program, what it is given, and what it gives.

    Attributes:
      closed: the program.
      given: the leaves of the arguments.
      results: structure of the results.
    """

    closed: Any
    given: list[Any]
    results: Any


class Together:
    """The values of several functions, computed by one program.

    Each is traced by itself, so that an error is reported where its value is asked
    for and nowhere else. One function on other numbers of the same types is traced
    once and stands in the program once, in a loop over the numbers: the compiler takes
    most of the time.
    """

    def __init__(
        self,
        parts: Mapping[str, Callable[[], Part]],
        *,
        apart: bool = False,
        repeats: Mapping[str, str] | None = None,
        options: Mapping[str, Any] = QUICK,
    ):
        """Args:
        parts: by name, what makes a function and its arguments.
        apart: compile each when it is asked for instead of all together.
        repeats: by name, the name of another one, which may be the same program; it
          is traced by itself even so.
        options: of the compiler.
        """
        self._parts = parts
        self._apart = apart
        self._repeats = repeats or {}
        self._options = options
        self._traced: dict[str, Any] = {}
        self._known: dict[Any, Any] = {}
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
            leaves, tree = jax.tree.flatten(args)
            same = (fn, tree, tuple(map(_type_of, leaves)))
            if self._apart or name in self._repeats or same not in self._known:
                closed, shapes = jax.make_jaxpr(
                    lambda *a: without_keys(fn(*a)), return_shape=True
                )(*args)
                found = closed, jax.tree.structure(shapes)
                self._known.setdefault(same, found)
                if name in self._repeats and _text(closed) == _text(
                    self._known[same][0]
                ):
                    found = self._known[same]
            else:
                found = self._known[same]
        except Exception as error:
            return error
        return _Traced(found[0], leaves, found[1])

    def _compute(self, names: list[str]) -> dict[str, Any]:
        groups: dict[int, list[str]] = {}
        for name in names:
            groups.setdefault(id(self._traced[name].closed), []).append(name)
        given = {}
        for i, group in groups.items():
            columns = zip(*(self._traced[n].given for n in group), strict=True)
            given[i] = [_stacked(column) for column in columns]

        def everything(given: Any) -> Any:
            found = {}
            for i, group in groups.items():
                run = jax.extend.core.jaxpr_as_fun(self._traced[group[0]].closed)
                found[i] = _each(run, given[i], len(group))
            return found

        run = compiled(everything, given, options=self._options)
        found = jax.device_get(run(given))
        values = {}
        for i, group in groups.items():
            for j, name in enumerate(group):
                leaves = [x[j] for x in found[i]] if len(group) > 1 else found[i]
                values[name] = jax.tree.unflatten(self._traced[name].results, leaves)
        return values


def _type_of(x: Any) -> Any:
    aval = jax.typeof(x)
    return str(aval), getattr(aval, "weak_type", False)


def _text(closed: Any) -> str:
    """The program, without the addresses of the functions that it came from."""
    return re.sub(r"0x[0-9a-f]+", "", str(closed.jaxpr))


class _Stack(NamedTuple):
    """Numbers that differ among the runs of one program, along a first axis."""

    values: Any


def _stacked(column: tuple[Any, ...]) -> Any:
    if len(column) == 1:
        return column[0]
    arrays = [np.asarray(x) for x in column]
    if all(x.tobytes() == arrays[0].tobytes() for x in arrays):
        return column[0]
    return _Stack(np.stack(arrays))


def _each(run: Callable[..., Any], leaves: list[Any], count: int) -> list[Any]:
    if count == 1:
        return run(*leaves)

    def one(number: Any) -> Any:
        own = (x.values[number] if isinstance(x, _Stack) else x for x in leaves)
        return run(*own)

    leaves = [
        _Stack(jnp.asarray(x.values)) if isinstance(x, _Stack) else x for x in leaves
    ]
    return jax.lax.map(one, jnp.arange(count))
