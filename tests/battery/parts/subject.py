"""What is tested: one row of a kind as a pure function, and the programs of it."""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from battery import programs
from battery.op_by_op import OpByOp
from battery.programs import Together

Tree = Any
Form = tuple[Callable[..., Any], tuple[Any, ...]]

SEEDS = (1.0, 2.0)  # of the directions of finite differences
# Bits of two keys: a key itself would be made by a program.
KEY, OTHER_KEY = np.array([0, 17], np.uint32), np.array([3, 5], np.uint32)


def is_float(x: Any) -> bool:
    """Whether a leaf is an array of floating numbers."""
    return hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jnp.floating)


def floats(change: Callable[[Any], Any], tree: Tree) -> Tree:
    """The tree with its floating leaves changed."""
    return jax.tree.map(lambda x: change(x) if is_float(x) else x, tree)


def weighted_sum(tree: Tree) -> Any:
    """A scalar in which every floating number of a tree counts."""
    total = jnp.zeros(())
    for leaf in filter(is_float, jax.tree.leaves(tree)):
        weights = jnp.cos(1.0 + jnp.arange(leaf.size)).reshape(leaf.shape)
        total = total + jnp.sum(weights * leaf.astype(jnp.float64))
    return total


def in_turn(function: Callable[[Tree], Tree], *cases: Tree) -> list[Tree]:
    """The results for several trees of the same shapes, one after another.

    The function stands once in the program, in a loop. Leaves that all cases share
    stay as they are.
    """
    columns = list(zip(*map(jax.tree.leaves, cases), strict=True))
    tree = jax.tree.structure(cases[0])
    moving = [i for i, c in enumerate(columns) if any(x is not c[0] for x in c)]
    if not moving:
        return [function(case) for case in cases]
    stacks = [jnp.stack([jnp.asarray(x) for x in columns[i]]) for i in moving]

    def one(own: list[Any]) -> Tree:
        given = [column[0] for column in columns]
        for i, x in zip(moving, own, strict=True):
            given[i] = x
        return function(jax.tree.unflatten(tree, given))

    done = jax.lax.map(one, stacks)
    return [jax.tree.map(lambda x, n=n: x[n], done) for n in range(len(cases))]


class Subject(abc.ABC):
    """A row of a kind as one pure function ``call(inputs, key)``.

    This class, the subjects that are derived from it and the functions that they call
    are the only ones that compile: one program for all values, one for a run outside
    of ``jit``, one that is called twice. The checks compare arrays.

    A kind states what its inputs are and how its function is called; ``forms`` adds
    the values that the kind's own checks compare.

    Attributes:
      kind: the kind of the rows.
      varied: names of the inputs that are made zero, constant or not a number.
      moving: names of the inputs with respect to which the results are differentiated.
      examples: names of the inputs whose leaves begin with an axis of examples.
      first: name of the row for which the plain run has all checks but doctests.
      differentiable: whether finite differences say something.
      slope_tolerance: the error of a derivative that is accepted, relative to its size
        or absolute.
    """

    kind: ClassVar[str]
    varied: ClassVar[tuple[str, ...]] = ()
    moving: ClassVar[tuple[str, ...]] = ()
    examples: tuple[str, ...] = ()
    first: ClassVar[str] = ""
    differentiable: bool = True
    slope_tolerance: float = 1e-6

    def __init__(self, row: Any, *, apart: bool = False):
        """Args:
        row: the row.
        apart: compile what a check asks for, and no more, for a few checks.
        """
        self.row = row
        given = row.inputs()
        self.options = {k: v for k, v in given.items() if k in row.options}
        self.inputs = {k: v for k, v in given.items() if k not in row.options}
        forms = {**common_forms(self), **self.forms()}
        rare = {**rare_forms(self), **self.rare_forms()}
        # Of one row of each kind the plain run has them all.
        if row.name == self.first:
            forms.update(rare)
        self.values = Together(forms, apart=apart, repeats={"again": "plain"})
        self.rare = (
            self.values if row.name == self.first else Together(rare, apart=True)
        )
        self.tally = programs.Tally()

    # What a kind says

    @abc.abstractmethod
    def call(self, inputs: Mapping[str, Any], key: Any) -> Tree:
        """The part's results on these inputs, in training mode where it has modes."""

    def scored(self, results: Tree) -> Tree:
        """The results whose derivatives are compared with finite differences."""
        return results

    @abc.abstractmethod
    def neutral(self) -> Form:
        """A function that gives ``(part at its neutral setting, simpler thing)``."""

    def result_dtype(self, dtype: Any) -> Any:
        """The type of floating results for inputs of a type."""
        return dtype

    def forms(self) -> dict[str, Callable[[], Form]]:
        """The values of the kind's own checks, by name."""
        return {}

    def rare_forms(self) -> dict[str, Callable[[], Form]]:
        """Those of the checks of the full tier; a program each."""
        return {}

    def repeated(
        self,
    ) -> tuple[Callable[..., Any], tuple[Any, ...], Callable[..., Any]]:
        """``(function, arguments, next)``: ``next(arguments, results)`` is called on.

        By default the second call gets other values of the same types.
        """
        return self.call, (self.inputs, KEY), lambda args, out: (self.others, *args[1:])

    def documented(self) -> list[Any]:
        """The functions and classes whose docstrings are looked at."""
        return [self.row.load()]

    # Inputs

    @functools.cached_property
    def others(self) -> dict[str, Any]:
        """Other inputs of the same types; integers are permuted among examples."""

        def other(x: Any) -> Any:
            if is_float(x):
                return 0.75 * x + 0.03 * np.cos(np.arange(x.size)).reshape(x.shape)
            return np.roll(x, 1, axis=0) if np.ndim(x) else x

        return jax.tree.map(other, self.inputs)

    def cast(self, dtype: Any) -> dict[str, Any]:
        """The inputs, floating ones in another type."""
        return floats(lambda x: np.asarray(x).astype(dtype), self.inputs)

    def changed(self, change: Callable[[Any], Any]) -> dict[str, Any]:
        """The inputs with ``change`` applied to the floating leaves that vary."""
        new = {name: floats(change, self.inputs[name]) for name in self.varied}
        return {**self.inputs, **new}

    def beginning(self, count: int) -> dict[str, Any]:
        """The inputs of the first examples alone."""
        first = lambda x: x[:count] if np.ndim(x) else x
        new = {n: jax.tree.map(first, self.inputs[n]) for n in self.present()}
        return {**self.inputs, **new}

    def present(self) -> tuple[str, ...]:
        """Those of ``examples`` that the inputs have."""
        return tuple(name for name in self.examples if name in self.inputs)

    def tiled(self, count: int) -> dict[str, Any]:
        """The inputs with the examples repeated."""

        def again(x: Any) -> Any:
            return np.concatenate([x] * count) if np.ndim(x) else x

        new = {n: jax.tree.map(again, self.inputs[n]) for n in self.present()}
        return {**self.inputs, **new}

    # Programs

    def run_op_by_op(self) -> Tree:
        """The results outside of ``jit``."""
        return jax.device_get(OpByOp()(self.call, self.inputs, KEY))

    @functools.cached_property
    def twice(self) -> tuple[int, list[Tree]]:
        """``(traces, results)`` of two calls of one jitted function."""
        function, args, following = self.repeated()
        traces = 0

        def counted(*args: Any) -> Any:
            nonlocal traces
            traces += 1
            return function(*args)

        jitted = jax.jit(counted, compiler_options=programs.QUICK)
        first = jitted(*args)
        second = jitted(*following(args, first))
        return traces, jax.device_get([first, second])

    def traced_text(self) -> str:
        """The program of ``call``, as text."""
        return str(jax.make_jaxpr(self.call)(self.inputs, KEY))

    def shapes(self, dtype: Any) -> Tree:
        """Shapes and types of the results; nothing is computed."""
        return jax.eval_shape(self.call, self.cast(dtype), KEY)

    def gradient(
        self, inputs: Mapping[str, Any], key: Any = KEY
    ) -> tuple[Tree, list[Any]]:
        """The results, and the derivatives of a weighted sum of them."""
        fixed = {k: v for k, v in inputs.items() if k not in self.moving}
        leaves, tree = jax.tree.flatten({k: inputs[k] for k in self.moving})
        places = [i for i, leaf in enumerate(leaves) if is_float(leaf)]

        def total(moving: list[Any]) -> tuple[Any, Any]:
            given = list(leaves)
            for i, leaf in zip(places, moving, strict=True):
                given[i] = leaf
            new = jax.tree.unflatten(tree, given)
            results = self.call({**fixed, **new}, key)
            return weighted_sum(self.scored(results)), results

        moving = [jnp.asarray(leaves[i]) for i in places]
        slopes, results = jax.grad(total, has_aux=True)(moving)
        return results, slopes

    def slopes_of(self, inputs: Mapping[str, Any]) -> tuple[Tree, list[Any]]:
        """Results, and the derivatives that finite differences are held against."""
        return self.sound(inputs)

    def sound(self, inputs: Mapping[str, Any]) -> tuple[Tree, list[Any]]:
        """The results, and the derivatives, which must be finite."""
        return self.gradient(inputs)

    def slopes(self) -> tuple[list[Any], Any]:
        """Derivatives along the directions, and central differences."""
        along = []
        for seed in SEEDS:
            parts = [
                np.vdot(_wave(np, g, seed), g) for g in self.values["derivatives"][1]
            ]
            along.append(sum(parts))
        return along, self.values["differences"]

    def on_devices(self, count: int = 8) -> Tree:
        """The results with the examples divided over devices."""
        mesh = jax.make_mesh((count,), ("x",), axis_types=(jax.sharding.AxisType.Auto,))
        split, whole = NamedSharding(mesh, P("x")), NamedSharding(mesh, P())

        def put(x: Any, sharding: Any) -> Any:
            return jax.device_put(x, sharding if np.ndim(x) else whole)

        placed = {
            name: jax.tree.map(
                lambda x, s=split if name in self.examples else whole: put(x, s), value
            )
            for name, value in self.tiled(count).items()
        }
        key = jax.device_put(KEY, whole)
        with jax.set_mesh(mesh):
            jitted = jax.jit(self.call, compiler_options=programs.QUICK)
            return jax.device_get(jitted(placed, key))


def _wave(numpy: Any, x: Any, seed: float) -> Any:
    """A direction of the shape of an array."""
    return numpy.sin(seed + numpy.arange(x.size)).reshape(x.shape)


def common_forms(subject: Subject) -> dict[str, Callable[[], Form]]:
    """The values of the common checks, by name."""
    s = subject

    def stacked(a: Tree, b: Tree) -> Tree:
        return jax.tree.map(lambda x, y: jnp.stack([jnp.asarray(x), y]), a, b)

    def one_by_one(a: Tree, b: Tree) -> Any:
        return jax.vmap(s.call, in_axes=(0, None))(stacked(a, b), KEY)

    def with_slopes(inputs: Tree) -> Form:
        if s.differentiable and s.moving:
            return s.sound, (inputs,)
        return s.call, (inputs, KEY)

    def differences(inputs: Tree) -> Any:
        """Central differences along some directions."""
        leaves, tree = jax.tree.flatten({k: inputs[k] for k in s.moving})

        def moved(seed: Any, by: Any) -> Any:
            new = [x + by * _wave(jnp, x, seed) if is_float(x) else x for x in leaves]
            given = {**inputs, **jax.tree.unflatten(tree, new)}
            return weighted_sum(s.scored(s.call(given, KEY)))

        step = 1e-5
        grid = [(seed, by) for seed in SEEDS for by in (step, -step)]
        ends = jax.vmap(moved)(*map(jnp.array, zip(*grid, strict=True)))
        return (ends[::2] - ends[1::2]) / (2 * step)

    def poisoned() -> Form:
        done = []

        def nan_once(x: Any) -> Any:
            x = np.array(x)
            if not done and x.size:
                x.flat[0] = np.nan
                done.append(True)
            return x

        return s.call, (s.changed(nan_once), KEY)

    forms: dict[str, Callable[[], Form]] = {
        "plain": lambda: (s.call, (s.inputs, KEY)),
        "single": lambda: (s.call, (s.cast(np.float32), KEY)),
        "vmap": lambda: (one_by_one, (s.inputs, s.others)),
        "zeros": lambda: with_slopes(s.changed(np.zeros_like)),
        "constants": lambda: with_slopes(s.changed(lambda x: np.full_like(x, 0.7))),
        "one_example": lambda: with_slopes(s.beginning(1)),
        "derivatives": lambda: (s.slopes_of, (s.inputs,)),
        "differences": lambda: (differences, (s.inputs,)),
        "poisoned": poisoned,
        "again": lambda: (s.call, (s.inputs, KEY)),
        "others": lambda: (s.call, (s.others, KEY)),
        "neutral": s.neutral,
    }
    return {n: f for n, f in forms.items() if n in applicable(s)}


def applicable(subject: Subject) -> set[str]:
    """The common values that make sense for a kind."""
    names = {"plain", "single", "vmap", "again", "others", "neutral"}
    if subject.varied:
        names |= {"zeros", "constants", "poisoned"}
    if subject.present():
        names |= {"one_example"}
    if subject.moving and subject.differentiable:
        names |= {"derivatives", "differences"}
    return names


def rare_forms(subject: Subject) -> dict[str, Callable[[], Form]]:
    """The values of the common checks of the full tier, by name."""
    return {
        "bfloat16": lambda: (subject.call, (subject.cast(jnp.bfloat16), KEY)),
        "tiled": lambda: (subject.call, (subject.tiled(8), KEY)),
    }
