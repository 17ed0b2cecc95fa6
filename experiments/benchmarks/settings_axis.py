"""Six settings of five seeds in one program against runs of their own.

Run as ``python -m experiments.benchmarks.settings_axis``: the MLP on digits with SAM, a
grid of 3 radii and 2 learning rates. A run of its own is one of ``jaxopt-lab train``
with five seeds in one program.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import jax

from experiments.benchmarks.paired import Ratio, ratio, ratio_of, report
from jaxopt_lab.lab import command_line, runs
from jaxopt_lab.lab.tuning.program import SettingsProgram

BAR = 0.6
_WORDS = ("task=digits", "model=mlp", "method=sam", "seeds=5", "val=0.2")
_GRID = list(itertools.product((0.02, 0.05, 0.1), (0.02, 0.1)))


def together(steps: int) -> Callable[[], None]:
    """Steps of all settings in one program; the first call compiles it."""
    program = SettingsProgram(command_line.parse(_WORDS), ["rho", "learning_rate"])
    columns = zip(*_GRID, strict=True)
    values = {n: list(x) for n, x in zip(program.names, columns, strict=True)}
    population = program.start(values)

    def run() -> None:
        nonlocal population
        population = program.train(population, population.step + steps)
        jax.block_until_ready(population.blocks)

    return run


def apart(steps: int) -> Callable[[], None]:
    """The same steps, each setting by the program of its own run."""
    found: list[list[Any]] = []
    for rho, rate in _GRID:
        words = [*_WORDS, f"rho={rho}", f"learning_rate={rate}"]
        program = runs.assemble(command_line.parse(words))
        step = jax.jit(program.step, donate_argnums=0)
        found.append([step, program.state, program.batches])

    def run() -> None:
        for each in found:
            step, state, batches = each
            for _ in range(steps):
                state, _ = step(state, batches.next())
            each[1] = jax.block_until_ready(state)

    return run


def of_steps(steps: int = 50, pairs: int = 10) -> Ratio:
    """Time of the steps alone, one program over its own runs.

    Args:
      steps: steps timed together.
      pairs: pairs of timings.

    Returns:
      The ratio.
    """
    return ratio(together(steps), apart(steps), pairs=pairs)


def of_whole(steps: int = 500, pairs: int = 2) -> Ratio:
    """Time from nothing to the last step, tracing and compiling among it.

    Args:
      steps: of every setting.
      pairs: pairs of timings; there is no warm-up, and caches are cleared.

    Returns:
      The ratio.
    """

    def timed(make: Callable[[int], Callable[[], None]]) -> float:
        jax.clear_caches()
        began = time.perf_counter()
        make(steps)()
        return time.perf_counter() - began

    return ratio_of(lambda: timed(together), lambda: timed(apart), pairs)


def main() -> None:
    """Print both ratios."""
    report(
        "six settings of five seeds in one program over six runs of five seeds",
        {
            f"a run of 500 steps, compiling included (bar: {BAR})": of_whole(),
            "steps alone": of_steps(),
        },
    )


if __name__ == "__main__":
    main()
