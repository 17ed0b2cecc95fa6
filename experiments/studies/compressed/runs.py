"""Train a method on a panel, and measure what its step takes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.benchmarks.paired import Ratio, ratio
from experiments.studies.compressed.config import Config
from experiments.studies.compressed.methods import Row
from experiments.studies.compressed.panels import Panel
from jaxopt_lab.core import trees
from jaxopt_lab.lab.program_bytes import peak_bytes
from jaxopt_lab.training import TrainState, init_state, make_train_step

_END = 0.1


class Runs(NamedTuple):
    """All runs of a method on a panel.

    Attributes:
      losses: on the training batches, nats, shape ``(rates, seeds, steps)``.
      final: on the held-out examples after the last step, ``(rates, seeds)``.
      state_bytes: of the optimizer, per parameter.
      peak_bytes: of the compiled step (arguments, temporaries and outputs, less what
        is donated), per parameter.
      compile_seconds: of the step.
    """

    losses: np.ndarray
    final: np.ndarray
    state_bytes: float
    peak_bytes: float
    compile_seconds: float


class Stepper(NamedTuple):
    """A compiled train step whose state is donated.

    Attributes:
      init: ``init(seed, start)``; ``start``: trained parameters, or ``None``.
      step: ``step(state, batch, rate) -> (state, loss)``.
      state_bytes: see ``Runs``, as are the next two.
      peak_bytes: see there.
      compile_seconds: see there.
    """

    init: Callable[[Any, Any], TrainState]
    step: Callable[..., tuple[TrainState, jax.Array]]
    state_bytes: float
    peak_bytes: float
    compile_seconds: float


def stepper(row: Row, panel: Panel, config: Config) -> Stepper:
    """Compile the step of a method; the rate is an argument of it.

    Args:
      row: the method.
      panel: what it trains.
      config: warm-up, batch size.

    Returns:
      The step and its bytes.
    """
    shape = optax.warmup_cosine_decay_schedule(
        0.0, 1.0, max(1, round(config.warmup * panel.steps)), panel.steps, _END
    )

    def take(state: TrainState, batch: Any, rate: Any) -> tuple[TrainState, Any]:
        # The count starts at 0, where the warm-up would make a step of nothing.
        tx = row.make(lambda count: rate * shape(count + 1))
        new, metrics = make_train_step(panel.loss_fn, tx)(state, batch)
        return new, metrics["loss"]

    # Compiled: outside of jit every loop of an init is compiled anew at each call,
    # and the programs of a whole experiment exhaust the memory maps of a process.
    @jax.jit
    def init(seed: Any, start: Any) -> TrainState:
        init_key, step_key = jax.random.split(jax.random.key(seed))
        params, model_state = panel.model.init(init_key) if start is None else start
        # The step donates its state, and jit hands on what it does not change: without
        # a copy a start could be used once.
        params = jax.tree.map(jnp.copy, params)
        # A schedule here too: it has a state.
        tx = row.make(lambda count: jnp.ones(()))
        return init_state(tx, params, step_key, model_state)

    state = init(0, None)
    batch = panel.batch(0, 0, config.batch_size)
    began = time.perf_counter()
    rate = jnp.float32(config.rates[0])
    compiled = jax.jit(take, donate_argnums=0).lower(state, batch, rate).compile()
    seconds = time.perf_counter() - began
    size = trees.count(state.params)
    held = trees.nbytes(state.opt_state)
    return Stepper(init, compiled, held / size, peak_bytes(compiled) / size, seconds)


def follow(
    made: Stepper, panel: Panel, rate: float, seed: int, config: Config, start: Any
) -> tuple[TrainState, np.ndarray]:
    """One run.

    Args:
      made: the step.
      panel: what is trained.
      rate: the highest step size.
      seed: of initial weights and batches.
      config: batch size.
      start: trained ``(params, model_state)``, or ``None``.

    Returns:
      The last state, and the loss of every batch before its step.
    """
    state, seen = made.init(seed, start), []
    for step in range(panel.steps):
        batch = panel.batch(seed, step, config.batch_size)
        state, loss = made.step(state, batch, jnp.float32(rate))
        seen.append(loss)
    return state, np.asarray(jnp.stack(seen))


def all_runs(
    made: Stepper, panel: Panel, config: Config, starts: list[Any] | None = None
) -> Runs:
    """Every rate and seed.

    Args:
      made: the step.
      panel: what is trained.
      config: rates and seeds.
      starts: trained ``(params, model_state)`` of every seed, or ``None``.

    Returns:
      The runs; a run that diverged ends at infinity.
    """
    seeds = 2 * config.seeds
    losses, final = [], []
    for rate in config.rates:
        for seed in range(seeds):
            start = None if starts is None else starts[seed]
            state, seen = follow(made, panel, rate, seed, config, start)
            end = float(panel.evaluate(state.params, state.model_state))
            losses.append(seen)
            final.append(end if math.isfinite(end) else math.inf)
    lead = (len(config.rates), seeds)
    return Runs(
        np.stack(losses).reshape(*lead, panel.steps),
        np.asarray(final).reshape(lead),
        made.state_bytes,
        made.peak_bytes,
        made.compile_seconds,
    )


def step_time(made: Stepper, base: Stepper, panel: Panel, config: Config) -> Ratio:
    """Time of a step over that of another, in interleaved pairs.

    Args:
      made: the first step.
      base: the second.
      panel: what is trained.
      config: batch size and number of pairs.

    Returns:
      The ratio.
    """
    batch = panel.batch(0, 0, config.batch_size)
    states = [made.init(0, None), base.init(0, None)]

    def once(which: int, step: Callable[..., Any]) -> Callable[[], None]:
        def run() -> None:
            states[which], loss = step(states[which], batch, jnp.float32(1e-4))
            jax.block_until_ready(loss)

        return run

    return ratio(once(0, made.step), once(1, base.step), pairs=config.pairs)
