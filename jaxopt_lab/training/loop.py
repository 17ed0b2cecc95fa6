"""The training loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.errors import InputError
from jaxopt_lab.training.checkpoints import Checkpoints
from jaxopt_lab.training.data.batches import BatchSource
from jaxopt_lab.training.evaluate import Evaluator
from jaxopt_lab.training.hyperparams import hyperparams
from jaxopt_lab.training.metrics import Sink
from jaxopt_lab.training.progress import Progress
from jaxopt_lab.training.signals import StopRequest
from jaxopt_lab.training.state import TrainState
from jaxopt_lab.training.step import TrainStep
from jaxopt_lab.training.window import Window

Hook = Callable[[int, TrainState], Mapping[str, Any]]


class NonFiniteLossError(RuntimeError):
    """The loss became NaN or infinite; the message says when, and what is saved."""


class FitResult(NamedTuple):
    """What ``fit`` gives back.

    Attributes:
      state: the final train state.
      stopped: ``None`` if all steps were taken, else the signal that ended the run.
      compile_seconds: tracing and compiling the step.
      step_seconds: mean wall time of a step, without compiling, evaluations and
        saves; NaN if no step was taken.
    """

    state: TrainState
    stopped: str | None
    compile_seconds: float
    step_seconds: float


def fit(
    step: TrainStep,
    state: TrainState,
    batches: BatchSource,
    *,
    steps: int,
    log_every: int = 50,
    evaluate: Evaluator | None = None,
    eval_every: int = 0,
    hooks: Sequence[Hook] = (),
    sinks: Sequence[Sink] = (),
    checkpoints: Checkpoints | None = None,
    save_every: int = 0,
    pending: Mapping[str, list] | None = None,
    on_nonfinite: Literal["stop", "skip"] = "stop",
    progress: bool | Literal["auto"] = "auto",
) -> FitResult:
    """Train until ``steps`` steps have been taken in all.

    Resuming is a matter of what is passed: a restored state and the batches set to
    the position saved with it continue the run bit by bit. SIGTERM and Ctrl-C end the
    loop after the present step, with a last save.

    Args:
      step: ``step(state, batch) -> (state, metrics)``, not yet jitted.
      state: where to start; a fresh or a restored one. Stacked for several seeds. It
        is copied, not consumed.
      batches: source of batches, positioned where ``state`` stands.
      steps: number of steps of the whole run, those already in ``state`` included.
      log_every: steps between two records of training metrics, which are means over
        the steps between.
      evaluate: evaluator of a state; its results are logged as kind ``"test"``.
      eval_every: steps between two evaluations; 0: only at the end.
      hooks: ``hook(step, state) -> {name: value}``, called at each evaluation; the
        results join its record.
      sinks: where the records go.
      checkpoints: where states are saved; ``None``: nowhere.
      save_every: steps between two saves; 0: only at the end.
      pending: ``pending`` of the restored data position: metrics of the steps since
        the last record.
      on_nonfinite: ``"stop"``: raise at a non-finite loss; ``"skip"``: go on (the
        step must have been made with ``skip_nonfinite=True``, which leaves the state
        as it was).
      progress: whether to draw a progress line; ``"auto"``: on a terminal.

    Returns:
      The final state, why it stopped, and timings.

    Raises:
      NonFiniteLossError: the loss is not finite and ``on_nonfinite`` is ``"stop"``.
      InputError: ``steps`` or an interval is out of range, or a save failed.
    """
    for name, value, least in (
        ("steps", steps, 1),
        ("log_every", log_every, 1),
        ("eval_every", eval_every, 0),
        ("save_every", save_every, 0),
    ):
        if value < least:
            raise InputError(
                f"{name}={value} is out of range; accepted: [{least}, inf)"
            )

    start = done = int(np.ravel(state.step)[0])
    window = Window(start, pending, skip=on_nonfinite == "skip")
    clock = _Clock(start)
    state = jax.tree.map(jnp.copy, state)  # the loop donates its state
    compiled: Any = None
    compile_seconds = 0.0
    saved: int | None = checkpoints.latest() if checkpoints is not None else None
    tested: dict[str, Any] = {}

    def write(kind: str, record: Mapping[str, Any]) -> None:
        for sink in sinks:
            sink.write(done, {"kind": kind, **record, "time": clock.elapsed()})

    def check_finite() -> None:
        bad = window.fetch()
        if bad is None:
            return
        last = (
            "no checkpoint was saved"
            if saved is None
            else (f"the last good checkpoint is step {saved}")
        )
        raise NonFiniteLossError(f"the loss is {bad.value} at step {bad.step}; {last}")

    def save(force: bool = False) -> None:
        nonlocal saved
        if checkpoints is None or saved == done:
            return
        check_finite()
        data = {"batches": batches.get_state(), "pending": window.pending()}
        metrics = {k: float(np.mean(v)) for k, v in tested.items()} or None
        checkpoints.save(done, state, data=data, metrics=metrics, force=force)
        saved = done

    with StopRequest() as stop, Progress(steps, start=start, enabled=progress) as line:
        while done < steps and stop.name is None:
            batch = batches.next()
            if compiled is None:
                began = time.perf_counter()
                jitted = jax.jit(step, donate_argnums=0)
                compiled = jitted.lower(state, batch).compile()
                compile_seconds = time.perf_counter() - began
                clock.start()
            state, metrics = compiled(state, batch)
            done += 1
            window.add(metrics)
            last = done == steps
            if done % log_every == 0 or last:
                check_finite()
                clock.stop()
                record = {**window.means(), **_scalars(hyperparams(state.opt_state))}
                speed = {"steps_per_second": clock.recent_speed(done)}
                write("train", {**record, **speed})
                line.update(done, {**record, **speed, **_named_test(tested)})
                window.clear(done)
            else:
                line.update(done, {})
            # A saved best needs the metrics of its own step, so tests come first.
            due = eval_every and done % eval_every == 0
            if evaluate is not None and (due or last):
                check_finite()
                clock.stop()
                tested = {**evaluate(state)}
                extra = [dict(hook(done, state)) for hook in hooks]
                write("test", {**tested, **{k: v for e in extra for k, v in e.items()}})
                line.update(done, _named_test(tested))
            if save_every and done % save_every == 0:
                clock.stop()
                save()
            clock.start()
        jax.block_until_ready(state)
        clock.stop()
        save(force=True)
        if checkpoints is not None:
            checkpoints.wait()
    return FitResult(state, stop.name, compile_seconds, clock.per_step(done - start))


def _scalars(values: Mapping[str, Any]) -> dict[str, Any]:
    """Hyper-parameters for the log: one number where all seeds agree."""
    out = {}
    for name, value in values.items():
        array = np.asarray(value)
        same = array.size > 0 and bool(np.all(array == array.flat[0]))
        out[name] = array.flat[0] if same else array
    return out


def _named_test(tested: Mapping[str, Any]) -> dict[str, Any]:
    return {f"test_{name}": value for name, value in tested.items()}


class _Clock:
    """Wall time of the steps alone."""

    def __init__(self, start: int) -> None:
        self._origin = time.perf_counter()
        self._since: float | None = None
        self._total = 0.0
        self._mark = (0.0, start)

    def start(self) -> None:
        if self._since is None:
            self._since = time.perf_counter()

    def stop(self) -> None:
        if self._since is not None:
            self._total += time.perf_counter() - self._since
            self._since = None

    def elapsed(self) -> float:
        return time.perf_counter() - self._origin

    def recent_speed(self, done: int) -> float:
        total, at = self._mark
        self._mark = (self._total, done)
        return (done - at) / max(self._total - total, 1e-9)

    def per_step(self, steps: int) -> float:
        return self._total / steps if steps else float("nan")
