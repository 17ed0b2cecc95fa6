"""Train every method on every panel, and measure what a step takes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.benchmarks.paired import Ratio, ratio
from experiments.harness.store import Store
from experiments.studies import scores
from experiments.studies.compressed import methods, panels
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
      step_time: of AdamW's: median and quartiles of the ratio.
    """

    losses: np.ndarray
    final: np.ndarray
    state_bytes: float
    peak_bytes: float
    compile_seconds: float
    step_time: tuple[float, float, float]


Measured = dict[str, dict[str, Runs]]
"""Runs by method, by panel."""


def prepare(config: Config, text: str | None = None) -> tuple[Config, dict[str, Any]]:
    """Read the text, so that a typo in its name ends the run at once.

    Args:
      config: the size of the study.
      text: path of a text file.

    Returns:
      The settings, and the arguments of ``measure``.

    Raises:
      InputError: the text is not there.
    """
    if text is None:
        print("without the transformer: text=FILE names a text", flush=True)
        return config, {}
    return config, {"words": panels.language(config, Path(text).expanduser())}


def measure(
    config: Config, store: Store, words: tuple[Panel, Panel] | None = None
) -> Measured:
    """Train every method on every panel; see ``Experiment.measure``.

    Args:
      words: the two panels of a text.
    """
    images = panels.images(config)
    found = {images.name: _panel(images, config, store)}
    if words is None:
        return found
    scratch, tuning = words
    found[scratch.name] = _panel(scratch, config, store)
    base = found[scratch.name][methods.ADAMW.name]
    chosen = scores.score(base.final, config.rates, higher_is_better=False)
    made = stepper(methods.ADAMW, scratch, config)
    starts = []
    for seed in range(2 * config.seeds):
        state, _ = follow(made, scratch, chosen.rate, seed, config, None)
        starts.append((state.params, state.model_state))
    found[tuning.name] = _panel(tuning, config, store, starts)
    return found


def _panel(
    panel: Panel, config: Config, store: Store, starts: list[Any] | None = None
) -> dict[str, Runs]:
    base = stepper(methods.ADAMW, panel, config)
    rows, found = store.group(panel.name.replace(" ", "-")), {}
    for row in methods.ALL:
        if row.name in config.without:
            continue

        def runs(row: Row = row) -> dict[str, Any]:
            made = base if row is methods.ADAMW else stepper(row, panel, config)
            timed = step_time(made, base, panel, config)
            done = all_runs(made, panel, config, starts)
            times = (timed.median, timed.low, timed.high)
            return done._replace(step_time=times)._asdict()

        kept = rows.measured(row.name, runs)
        single = ("state_bytes", "peak_bytes", "compile_seconds")
        kept |= {name: float(kept[name]) for name in single}  # type: ignore[dict-item]
        found[row.name] = Runs(**kept)  # type: ignore[arg-type]
    return found


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

    # Compiled: outside of jit every loop of an init is compiled at each call, and the
    # programs of a whole study exhaust the memory maps of a process.
    @jax.jit
    def init(seed: Any, start: Any) -> TrainState:
        init_key, step_key = jax.random.split(jax.random.key(seed))
        params, model_state = panel.model.init(init_key) if start is None else start
        # jit forwards unmodified inputs and the step donates its state: without a copy
        # a start could be used once.
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
        (math.nan, math.nan, math.nan),
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
