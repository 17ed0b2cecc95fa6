"""The loop of ``fit`` against a bare loop over the same jitted step.

Run as ``python -m experiments.benchmarks.fit_loop``. The step is one of AdamW on a
small dense network, about 0.3 ms on a CPU, so that what a loop adds to a step shows.
Both loops take their batches from a list; ``fit`` records its means every 50 steps and
has no sink. Times are of a step without compiling, in pairs: wall time, and processor
time, which other work on the machine disturbs less.
"""

from __future__ import annotations

import time
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.benchmarks.paired import Ratio, report
from jaxopt_lab.runtime import fit
from jaxopt_lab.training import TrainState, init_state, make_train_step

Seconds: TypeAlias = np.ndarray
WIDTH, BATCH, BATCHES = 128, 64, 8
STEPS, PAIRS = 2000, 10


def problem() -> tuple[Any, TrainState, list[Any]]:
    """A step, its first state and some batches.

    Returns:
      ``(step, state, batches)``, the step not jitted.
    """

    def loss(params: Any, model_state: Any, batch: Any, key: Any, /) -> Any:
        x, y = batch["x"], batch["y"]
        for w in params["layers"]:
            x = jnp.tanh(x @ w)
        return jnp.mean((x - y) ** 2), (model_state, {})

    draw = np.random.default_rng(0)
    made = lambda *shape: draw.normal(size=shape).astype(np.float32)
    params = {"layers": [jnp.asarray(made(WIDTH, WIDTH) / 12) for _ in range(3)]}
    tx = optax.adamw(1e-3)
    batches = [
        {"x": made(BATCH, WIDTH), "y": made(BATCH, WIDTH)} for _ in range(BATCHES)
    ]
    return make_train_step(loss, tx), init_state(tx, params, jax.random.key(0)), batches


def bare(step: Any, state: TrainState, batches: list[Any], steps: int) -> Seconds:
    """A loop that does nothing else.

    Args:
      step: not jitted.
      state: the first state; it is copied.
      batches: taken in turn.
      steps: how many.

    Returns:
      Wall and processor seconds of a step.
    """
    state = jax.tree.map(jnp.copy, state)
    program = jax.jit(step, donate_argnums=0).lower(state, batches[0]).compile()
    began = _now()
    metrics = None
    for i in range(steps):
        state, metrics = program(state, batches[i % len(batches)])
    jax.block_until_ready((state, metrics))
    return (_now() - began) / steps


def fitted(step: Any, state: TrainState, batches: list[Any], steps: int) -> Seconds:
    """The same by ``fit``.

    Args:
      step: not jitted.
      state: the first state.
      batches: taken in turn.
      steps: how many.

    Returns:
      Wall and processor seconds of a step.
    """
    began = []
    start = lambda: began.append(_now())
    fit(step, state, batches, steps=steps, progress=False, on_start=start)
    return (_now() - began[0]) / steps


def _now() -> Seconds:
    return np.array([time.perf_counter(), time.process_time()])


def measure(steps: int = STEPS, pairs: int = PAIRS) -> dict[str, Any]:
    """Both loops in the order A B B A.

    Args:
      steps: of each run.
      pairs: number of pairs, made even.

    Returns:
      Ratios with quartiles, and median milliseconds.
    """
    given = (*problem(), steps)
    times = []
    for _ in range((pairs + 1) // 2):
        times.append((fitted(*given), bare(*given)))
        times.append((bare(*given), fitted(*given))[::-1])
    array = np.array(times)
    figures: dict[str, Any] = {}
    for i, kind in enumerate(("wall", "processor")):
        mine, plain = array[:, 0, i], array[:, 1, i]
        low, median, high = map(float, np.quantile(mine / plain, [0.25, 0.5, 0.75]))
        seconds = (float(np.median(mine)), float(np.median(plain)))
        found = Ratio(median, low, high, seconds, len(times))
        figures[f"fit over a bare loop, {kind} time"] = found
        figures[f"ms a step, {kind} time"] = f"{1e3 * seconds[0]:.3f}"
    return figures


if __name__ == "__main__":
    report("loop of fit", measure())
