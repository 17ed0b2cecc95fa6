"""Three seeds in one program against one seed, on digits.

Run as ``python -m experiments.benchmarks.seeds``. The convnet is unrolled over the
seeds on CPU and the MLP runs under ``vmap``, as ``seed_mode=auto`` chooses.
"""

from __future__ import annotations

import functools
from typing import Any

import jax

from experiments.benchmarks.paired import Ratio, ratio, report
from jaxopt_lab.lab import command_line, runs


def _stepper(model: str, seeds: int, steps: int) -> Any:
    """A function that takes some training steps and waits for them."""
    words = ["task=digits", f"model={model}", f"seeds={seeds}", "method=sam"]
    program = runs.assemble(command_line.parse(words))
    step = jax.jit(program.step, donate_argnums=0)
    state = program.state

    def run() -> None:
        nonlocal state
        for _ in range(steps):
            state, _ = step(state, program.batches.next())
        jax.block_until_ready(state)

    return run


def measure(model: str, steps: int = 50, pairs: int = 10) -> Ratio:
    """Time of a step of three seeds over that of one.

    Args:
      model: name of a model.
      steps: steps timed together.
      pairs: pairs of timings.

    Returns:
      The ratio; its seconds are those of ``steps`` steps.
    """
    stepper = functools.partial(_stepper, model, steps=steps)
    return ratio(stepper(seeds=3), stepper(seeds=1), pairs=pairs)


def main() -> None:
    """Print the ratios for the convnet and the MLP."""
    measured = {model: measure(model) for model in ("convnet", "mlp")}
    report(
        "three seeds over one, a step with its batch",
        {
            "convnet, unrolled on CPU (bar: 3.1)": measured["convnet"],
            "mlp, vmap": measured["mlp"],
        },
    )


if __name__ == "__main__":
    main()
