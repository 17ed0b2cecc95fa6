"""Every optimizer's update against the bytes that it must move.

Run as ``python -m experiments.benchmarks.updates [METHOD ...]``, on any device. A step
cannot take less time than its parameters, gradients and state take through the memory:
parameters and state once each way, gradients once. Their bytes over the time of the
step, over the rate of a copy that is measured beside it, say how near a method is to
that floor. A method that keeps past gradients (``*_cg``, ``*_cm``) writes one of them
in a step, so its floor is lower than said here, and its figure may pass 1. Methods
that multiply matrices (``muon``, ``soap``, ``galore``, ``ldadam``, ``apollo``) work
above the floor by nature. Times are those of the clock, paired with ``optax.adamw``;
``--scale`` makes the matrices of the tree of 19.9 million float32 parameters larger: it
must not fit into a cache. ``--kernels 3`` names the three that take the most time.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import pathlib
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.benchmarks.compressed import SHAPES, step_of
from experiments.benchmarks.paired import ratio, report
from jaxopt_lab import catalog
from jaxopt_lab.core import trees

BASE = "adamw"
AT_ONCE = 4
# An update of these asks for gradients of its own, or wraps an optimizer.
NOT_ALONE = ("link", "wrapper")
# Operations that are one kernel each where XLA compiles for a GPU.
_KERNELS = re.compile(r" = \S+ (fusion|custom-call|dot|copy|sort|scatter|while)\(")


@dataclasses.dataclass
class Program:
    """A compiled step, which keeps its own parameters and state.

    Attributes:
      run: ``run(params, state, grads) -> (params, state)``, donating the first two.
      params: the parameters.
      state: the state.
      grads: the gradients of every step.
      moved: bytes that a step must read or write.
      kernels: fusions and calls in the entry of the compiled program.
      compile_seconds: time to trace and compile.
    """

    run: Callable[..., Any]
    params: Any
    state: Any
    grads: Any
    moved: float
    kernels: int
    compile_seconds: float

    def steps(self, count: int) -> Callable[[], None]:
        """A function that takes steps and waits for the last.

        Args:
          count: how many.

        Returns:
          The function.
        """

        def run() -> None:
            for _ in range(count):
                self.params, self.state = self.run(self.params, self.state, self.grads)
            jax.block_until_ready(self.params)

        return run


def methods() -> tuple[str, ...]:
    """The optimizers of the catalog that need nothing but gradients.

    Returns:
      Names.
    """
    return tuple(
        row.name
        for row in catalog.of_kind("transform").values()
        if row.role not in NOT_ALONE and "grad_fn" not in row.needs
    )


def shapes(scale: int) -> dict[str, jax.ShapeDtypeStruct]:
    """The tree.

    Args:
      scale: factor of the rows of those matrices whose size is a power of two.

    Returns:
      Shapes by name, float32.
    """

    def larger(shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(shape) < 2 or shape[-2] % 512:
            return shape
        return (*shape[:-2], scale * shape[-2], shape[-1])

    return {
        name: jax.ShapeDtypeStruct(larger(shape), jnp.float32)
        for name, shape in SHAPES.items()
    }


def normal(tree: Mapping[str, jax.ShapeDtypeStruct], seed: int) -> dict[str, jax.Array]:
    """The tree, filled with normal numbers.

    Args:
      tree: its shapes.
      seed: of the numbers.

    Returns:
      Arrays by name.
    """
    keys = jax.random.split(jax.random.key(seed), len(tree))
    return {
        name: 0.02 * jax.random.normal(key, leaf.shape, leaf.dtype)
        for key, (name, leaf) in zip(keys, tree.items(), strict=True)
    }


def compiled(tx: optax.GradientTransformation, scale: int, fused: bool) -> Program:
    """One step of an optimizer, compiled.

    Args:
      tx: the optimizer.
      scale: as in ``shapes``.
      fused: whether new parameters go through the fused apply of the train step.

    Returns:
      The program, on its first parameters.
    """
    tree = shapes(scale)
    abstract = jax.eval_shape(tx.init, tree)
    began = time.perf_counter()
    run = step_of(tx, fused).lower(tree, abstract, tree).compile()
    seconds = time.perf_counter() - began
    entry = str(run.as_text()).split("ENTRY ", 1)[1]
    begin = normal(tree, 0)
    return Program(
        run,
        begin,
        jax.jit(tx.init)(begin),
        normal(tree, 1),
        3.0 * trees.nbytes(tree) + 2.0 * trees.nbytes(abstract),
        len(_KERNELS.findall(entry)),
        seconds,
    )


def copy_rate(nbytes: int = 1 << 30, times: int = 20) -> float:
    """Bytes a second that a copy reads and writes, the median of a few.

    Args:
      nbytes: size of the array.
      times: how often.

    Returns:
      Twice the bytes over the time.
    """
    move = jax.jit(lambda x: -x, donate_argnums=0)
    array = move(jnp.ones((nbytes // 4,), jnp.float32))
    spent = []
    for _ in range(5):
        jax.block_until_ready(array)
        began = time.perf_counter()
        for _ in range(times):
            array = move(array)
        jax.block_until_ready(array)
        spent.append((time.perf_counter() - began) / times)
    return 2 * nbytes / float(np.median(spent))


def slowest_kernels(program: Program, most: int) -> dict[str, float]:
    """Time of a step by operation, from the profiler of jax.

    Args:
      program: the step.
      most: how many kernels to name.

    Returns:
      Milliseconds a step by the kernel's name, largest first.
    """
    count = 5
    run = program.steps(count)
    run()
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            run()
        found: Counter[str] = Counter()
        for file in pathlib.Path(folder).rglob("*.xplane.pb"):
            for plane in jax.profiler.ProfileData.from_file(str(file)).planes:
                if not plane.name.startswith("/device:"):
                    continue
                for line in plane.lines:
                    if not line.name.startswith("Stream"):
                        continue
                    for event in line.events:
                        found[event.name] += event.duration_ns / 1e6 / count
    return dict(found.most_common(most))


def measured(
    program: Program, base: Program, rate: float, options: argparse.Namespace
) -> dict[str, Any]:
    """Cost of one method's step.

    Args:
      program: the step.
      base: that of ``optax.adamw``.
      rate: bytes a second of a copy.
      options: ``steps``, ``pairs`` and ``kernels`` of the command line.

    Returns:
      Figures by label.
    """
    runs = program.steps(options.steps), base.steps(options.steps)
    spent = ratio(*runs, pairs=options.pairs)
    seconds = spent.seconds[0] / options.steps
    row: dict[str, Any] = {
        "ms": 1e3 * seconds,
        "over adamw": spent.median,
        "of the floor's rate": program.moved / seconds / rate,
        "kernels": program.kernels,
        "compile s": program.compile_seconds,
    }
    if options.kernels:
        row |= {
            f"ms in {name}": milliseconds
            for name, milliseconds in slowest_kernels(program, options.kernels).items()
        }
    return row


def said(row: Mapping[str, Any]) -> str:
    """Figures on one line.

    Args:
      row: by label.

    Returns:
      The line.
    """
    return ", ".join(f"{label} {value:.3g}" for label, value in row.items())


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print.

    Args:
      arguments: command line; ``None`` for that of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("methods", nargs="*", default=list(methods()))
    parser.add_argument("--scale", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--steps", type=int, default=5, help="timed as one")
    parser.add_argument("--kernels", type=int, default=0, help="to name, by time")
    options = parser.parse_args(arguments)
    rate = copy_rate()
    device = jax.devices()[0].device_kind
    print(f"{device}: a copy moves {rate / 1e9:.0f} GB/s", flush=True)

    def program(name: str) -> Program:
        return compiled(
            catalog.get(name, "transform").make(), options.scale, fused=True
        )

    base = compiled(catalog.get(BASE, "transform").make(), options.scale, fused=False)
    found: dict[str, Any] = {
        "device": device,
        "copy, GB/s": rate / 1e9,
        "parameters": trees.count(base.params),
    }
    # Compiling waits for XLA, not for Python; the states must not be there all at once.
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        for start in range(0, len(options.methods), AT_ONCE):
            names = options.methods[start : start + AT_ONCE]
            programs = list(pool.map(program, names))
            while programs:
                name, one = names.pop(0), programs.pop(0)
                row = measured(one, base, rate, options)
                print(f"{name}: {said(row)}", flush=True)
                found |= {f"{name}: {label}": value for label, value in row.items()}
    report("updates", found)


if __name__ == "__main__":
    main()
