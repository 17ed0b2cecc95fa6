"""Optimizers with a compressed state against ``optax.adamw``: bytes and time.

Run as ``python -m experiments.benchmarks.compressed [METHOD ...]``. Each method takes
two ways: ``tx.update`` and ``optax.apply_updates``, and the fused apply of the train
step, which takes the new parameters without a tree of updates between. The gradients
are an argument that is not donated, parameters and state are. Peak is arguments,
temporaries and outputs without what is aliased, of the compiled program; times are
those of the process's CPU, in pairs, over the time of ``optax.adamw`` in the same
minute. The tree has 19.9 million float32 parameters in unequal leaves: one that fits
into the cache would make ``optax.adamw`` five times faster and every ratio look three
times worse.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxopt_lab
from experiments.benchmarks.paired import Ratio, report
from jaxopt_lab.core import trees
from jaxopt_lab.lab.program_bytes import peak_bytes
from jaxopt_lab.training.fused_apply import FusedApplyRecorder

SHAPES: Mapping[str, tuple[int, ...]] = {
    "up": (4096, 1024),
    "down": (1024, 4096),
    **{f"square{i}": (1024, 1024) for i in range(4)},
    "conv": (3, 3, 512, 512),
    "embedding": (8000, 512),
    "head": (768, 1000),
    "odd": (257, 129),
    **{f"bias{i}": (1024,) for i in range(11)},
    "scalar": (),
}
RATE = 1e-3
PAIRS = 10

METHODS: Mapping[str, Callable[[], optax.GradientTransformation]] = {
    "adamw8bit": lambda: jaxopt_lab.adamw8bit(RATE),
    "adamw4bit": lambda: jaxopt_lab.adamw4bit(RATE),
    "adamw_fp8": lambda: jaxopt_lab.adamw_fp8(RATE),
    "microadam": lambda: jaxopt_lab.microadam(RATE),
    "ldadam": lambda: jaxopt_lab.ldadam(RATE, error="none"),
    "ldadam bfloat16": lambda: jaxopt_lab.ldadam(RATE, error="bfloat16"),
    "ldadam 4-bit": lambda: jaxopt_lab.ldadam(RATE, error="4-bit"),
}


class Bar(NamedTuple):
    """Upper bounds on a method's cost, as ratios to ``optax.adamw``."""

    peak: float
    time: float


# Of the two ways: through optax's protocol, and through the fused apply.
BARS: Mapping[str, tuple[Bar, Bar]] = {
    "adamw8bit": (Bar(0.90, 6.0), Bar(0.65, 3.5)),
    "adamw4bit": (Bar(0.83, 5.0), Bar(0.60, 3.0)),
    "microadam": (Bar(0.84, 13.0), Bar(0.60, 9.0)),
    "ldadam": (Bar(0.80, 6.0), Bar(0.55, 4.0)),
    "ldadam bfloat16": (Bar(0.90, 8.0), Bar(0.68, 5.5)),
    "ldadam 4-bit": (Bar(0.84, 10.0), Bar(0.60, 7.0)),
}


class Program(NamedTuple):
    """A compiled step.

    Attributes:
      run: ``run(params, state, grads) -> (params, state)``.
      state_bytes: bytes of state per parameter.
      temp_bytes: bytes of temporaries per parameter.
      peak_bytes: bytes alive at most, arguments included, per parameter.
      compile_seconds: time to trace and compile.
      tx: the optimizer.
    """

    run: Callable[..., Any]
    state_bytes: float
    temp_bytes: float
    peak_bytes: float
    compile_seconds: float
    tx: optax.GradientTransformation


def parameters(seed: int) -> dict[str, jax.Array]:
    """The tree, filled with normal numbers.

    Args:
      seed: of the numbers.

    Returns:
      float32 arrays by name.
    """
    draw = np.random.default_rng(seed)
    return {
        name: jnp.asarray(0.02 * draw.standard_normal(shape, np.float32))
        for name, shape in SHAPES.items()
    }


def step_of(tx: optax.GradientTransformation, fused: bool) -> Any:
    """One step of an optimizer, to be compiled; parameters and state are donated.

    Args:
      tx: the optimizer.
      fused: whether the new parameters go through the fused apply of the train step.

    Returns:
      ``step(params, state, grads) -> (params, state)``, jitted.
    """
    full = optax.with_extra_args_support(tx)

    def step(params: Any, state: Any, grads: Any) -> tuple[Any, Any]:
        if not fused:
            updates, state = full.update(grads, state, params)
            return optax.apply_updates(params, updates), state
        recorder = FusedApplyRecorder()
        updates, state = full.update(grads, state, params, fused_apply=recorder)
        return recorder.apply(params, updates), state

    return jax.jit(step, donate_argnums=(0, 1))


def compiled(tx: optax.GradientTransformation, fused: bool) -> Program:
    """One step of an optimizer, compiled and measured by its compiler.

    Args:
      tx: the optimizer.
      fused: whether the new parameters go through the fused apply.

    Returns:
      The program.
    """
    shapes = {n: jax.ShapeDtypeStruct(s, jnp.float32) for n, s in SHAPES.items()}
    state = jax.eval_shape(tx.init, shapes)
    began = time.perf_counter()
    run = step_of(tx, fused).lower(shapes, state, shapes).compile()
    seconds = time.perf_counter() - began
    memory: Any = run.memory_analysis()
    count = trees.count(shapes)
    return Program(
        run,
        trees.nbytes(state) / count,
        memory.temp_size_in_bytes / count,
        peak_bytes(run) / count,
        seconds,
        tx,
    )


class Runner:
    """Calls a program again and again on its own state."""

    def __init__(self, program: Program, grads: Any):
        self._program, self._grads = program, grads
        self._params = parameters(0)
        self._state = jax.jit(program.tx.init)(self._params)

    def __call__(self) -> None:
        """One step, to its end."""
        out = self._program.run(self._params, self._state, self._grads)
        self._params, self._state = jax.block_until_ready(out)


def cpu_ratio(a: Runner, b: Runner, pairs: int) -> Ratio:
    """CPU time of ``a`` over that of ``b``, in the order A B B A.

    Args:
      a: the first program.
      b: the second.
      pairs: number of pairs.

    Returns:
      The ratio.
    """

    def timed(run: Runner) -> float:
        began = time.process_time()
        run()
        return time.process_time() - began

    a()
    b()
    times = []
    for i in range(pairs):
        order = (a, b) if i % 2 == 0 else (b, a)
        spent = {run: timed(run) for run in order}
        times.append((spent[a], spent[b]))
    array = np.array(times)
    low, middle, high = np.quantile(array[:, 0] / array[:, 1], [0.25, 0.5, 0.75])
    seconds = np.median(array, axis=0)
    return Ratio(
        float(middle),
        float(low),
        float(high),
        (float(seconds[0]), float(seconds[1])),
        pairs,
    )


def figures(name: str, fused: bool, base: Program, pairs: int) -> dict[str, Any]:
    """Cost of one method in one of the two ways.

    Args:
      name: the method.
      fused: which way.
      base: ``optax.adamw``, compiled.
      pairs: number of pairs of timed steps; 0 for none.

    Returns:
      Figures by label.
    """
    program = compiled(METHODS[name](), fused)
    way = "through the fused apply" if fused else "update, apply_updates"
    label = f"{name}, {way}"
    bar = BARS[name][fused] if name in BARS else None
    allowed = ("", "") if bar is None else (f" (bar {bar.peak})", f" (bar {bar.time})")
    found: dict[str, Any] = {
        f"{label}: state, bytes a parameter": program.state_bytes,
        f"{label}: temporaries, bytes a parameter": program.temp_bytes,
        f"{label}: peak / adamw{allowed[0]}": program.peak_bytes / base.peak_bytes,
        f"{label}: compile seconds": program.compile_seconds,
    }
    if pairs:
        grads = parameters(1)
        spent = cpu_ratio(Runner(program, grads), Runner(base, grads), pairs)
        found[f"{label}: CPU time / adamw{allowed[1]}"] = spent
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print.

    Args:
      arguments: command line; ``None`` for that of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("methods", nargs="*", default=list(METHODS))
    parser.add_argument("--pairs", type=int, default=PAIRS)
    options = parser.parse_args(arguments)
    base = compiled(optax.adamw(RATE), fused=False)
    found: dict[str, Any] = {
        "parameters": trees.count(parameters(0)),
        "optax.adamw: peak, bytes a parameter": base.peak_bytes,
    }
    for name in options.methods:
        for fused in (False, True):
            found.update(figures(name, fused, base, options.pairs))
    report("compressed", found)


if __name__ == "__main__":
    main()
