"""A step of Adam with critical momenta against one of ``optax.adamw``.

Run as ``python -m experiments.benchmarks.critical_momenta``. The tree has 10 million
float32 parameters, gradients are given, parameters and state are donated. Bytes are
those that XLA counts for the compiled steps; times are paired with those of adamw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

import jaxopt_lab
from experiments.benchmarks.paired import Ratio, ratio, report
from jaxopt_lab.core import trees

PARAMETERS = 10_000_000
PAIRS = 20
RATE = 1e-3

C5, C20, NARROW = "C = 5", "C = 20", ", bfloat16"
# Ratio of times to adamw, of C = 20 to C = 5, and bytes of temporaries a parameter.
TIME_BAR, GROWTH_BAR, TEMP_BAR = 2.2, 1.05, 0.1


class Step(NamedTuple):
    """A compiled step.

    Attributes:
      program: ``program(params, state, grads) -> (params, state)``, donating both.
      args: its first arguments.
    """

    program: Any
    args: tuple[Any, Any, Any]


def optimizers() -> dict[str, optax.GradientTransformation]:
    """The measured methods besides ``optax.adamw``.

    Returns:
      Optimizers by label.
    """
    adamw_cm = jaxopt_lab.adamw_cm
    return {
        C5: adamw_cm(RATE, capacity=5),
        C20: adamw_cm(RATE, capacity=20),
        "C = 5, fresh sums": adamw_cm(RATE, capacity=5, recompute_sum=True),
        "C = 20, fresh sums": adamw_cm(RATE, capacity=20, recompute_sum=True),
        C5 + NARROW: adamw_cm(RATE, capacity=5, buffer_dtype=jnp.bfloat16),
        C20 + NARROW: adamw_cm(RATE, capacity=20, buffer_dtype=jnp.bfloat16),
        "adam_cg, C = 10": jaxopt_lab.adam_cg(RATE),
    }


def compiled_step(
    tx: optax.GradientTransformation, parameters: int = PARAMETERS
) -> Step:
    """One update and its application, compiled.

    Args:
      tx: the optimizer.
      parameters: how many, in five matrices and five vectors.

    Returns:
      The step.
    """
    width = parameters // 5 // 1000
    params = {
        f"{i}": {"kernel": jnp.zeros((1000, width)), "bias": jnp.zeros((width,))}
        for i in range(5)
    }
    keys = iter(jax.random.split(jax.random.key(0), 10))
    grads = jax.tree.map(lambda p: jax.random.normal(next(keys), p.shape), params)

    def step(params: Any, state: Any, grads: Any) -> Any:
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    args = (params, tx.init(params), grads)
    return Step(jax.jit(step, donate_argnums=(0, 1)).lower(*args).compile(), args)


def bytes_a_parameter(step: Step) -> dict[str, float]:
    """Bytes for each parameter, as XLA counts them.

    Args:
      step: a compiled step.

    Returns:
      ``"temp"`` and ``"state"``.
    """
    count = trees.count(step.args[0])
    temp = step.program.memory_analysis().temp_size_in_bytes
    return {"temp": temp / count, "state": trees.nbytes(step.args[1]) / count}


def runner(step: Step) -> Callable[[], None]:
    """A function that takes one step after the other and waits for each.

    Args:
      step: a compiled step.

    Returns:
      The function.
    """
    params, state, grads = step.args
    carry = jax.tree.map(jnp.copy, (params, state))

    def run() -> None:
        nonlocal carry
        carry = step.program(*carry, grads)
        jax.block_until_ready(carry)

    return run


def times(steps: Mapping[str, Step], pairs: int = PAIRS) -> dict[str, Ratio]:
    """Paired times against adamw, and of C = 20 against C = 5 in both types.

    Args:
      steps: by label, adamw among them.
      pairs: pairs of timings.

    Returns:
      Ratios by ``"A over B"``.
    """
    measured = {}
    wanted = [(label, "adamw") for label in steps if label != "adamw"]
    for a, b in (*wanted, (C20, C5), (C20 + NARROW, C5 + NARROW)):
        measured[f"{a} over {b}"] = ratio(
            runner(steps[a]), runner(steps[b]), pairs=pairs, repeat=3
        )
    return measured


def main() -> None:
    """Print bytes, paired times, and which bars are met."""
    steps = {"adamw": compiled_step(optax.adamw(RATE))}
    steps |= {label: compiled_step(tx) for label, tx in optimizers().items()}
    figures: dict[str, Any] = {}
    for label, step in steps.items():
        for what, value in bytes_a_parameter(step).items():
            figures[f"{what} bytes a parameter, {label}"] = value
    measured = times(steps)
    figures |= {f"time, {label}": value for label, value in measured.items()}
    for label, bar in (
        (f"{C5} over adamw", TIME_BAR),
        (f"{C20} over adamw", TIME_BAR),
        (f"{C20} over {C5}", GROWTH_BAR),
        (f"{C20}{NARROW} over {C5}{NARROW}", GROWTH_BAR),
    ):
        met = "met" if measured[label].median <= bar else "NOT MET"
        figures[f"bar, time of {label}"] = f"{met}: {measured[label]} against {bar}"
    for label in (C5, C20, C5 + NARROW, C20 + NARROW):
        temp = bytes_a_parameter(steps[label])["temp"]
        met = "met" if temp <= TEMP_BAR else "NOT MET"
        figures[f"bar, temp bytes of {label}"] = f"{met}: {temp:.2f} against {TEMP_BAR}"
    report("Adam with critical momenta", figures)


if __name__ == "__main__":
    main()
