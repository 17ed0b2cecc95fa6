"""The training loop."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.errors import InputError, unknown
from jaxopt_lab.core.trees import differences, is_floating, summary
from jaxopt_lab.runtime.checkpoints import Checkpoints
from jaxopt_lab.runtime.metric_buffer import Window
from jaxopt_lab.runtime.metrics import Sink
from jaxopt_lab.runtime.processes import agree
from jaxopt_lab.runtime.progress import Progress
from jaxopt_lab.runtime.signals import StopRequest
from jaxopt_lab.training.evaluate import Evaluator
from jaxopt_lab.training.hyperparams import hyperparams
from jaxopt_lab.training.state import TrainState
from jaxopt_lab.training.step import TrainStep

if TYPE_CHECKING:
    from jaxopt_lab.core.typing import BatchSource

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
        the steps between; hyper-parameters in the optimizer state join them. There is
        always a record of the last step.
      evaluate: evaluator of a state; its results are logged as kind ``"test"``.
      eval_every: steps between two evaluations; 0: only at the end.
      hooks: ``hook(step, state) -> {name: value}``, called when an evaluation is due,
        with or without an evaluator; the results join its record. What a hook keeps
        of the state it must copy: the next step overwrites it.
      sinks: where the records go; closing them is the caller's.
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
      InputError: ``steps`` or an interval is out of range, the step does not fit, or
        a save failed.

    Memory: the state twice while it is copied, then once; metrics and batches of a
    few steps in flight.
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
    if on_nonfinite not in ("stop", "skip"):
        raise unknown("on_nonfinite", on_nonfinite, ("stop", "skip"))

    start = done = int(np.ravel(state.step)[0])
    window = Window(start, pending, skip=on_nonfinite == "skip")
    clock = _Clock(start)
    state = jax.tree.map(jnp.copy, state)  # the loop donates its state
    compiled: Any = None
    compile_seconds = 0.0
    tested: dict[str, Any] = {}
    tested_at = saved = None

    def write(kind: str, record: Mapping[str, Any]) -> None:
        for sink in sinks:
            sink.write(done, {"kind": kind, **record, "time": clock.elapsed()})

    def check_finite() -> None:
        bad = window.fetch()
        if bad is not None:
            seed = "" if bad.seed is None else f" of seed {bad.seed}"
            raise _not_finite(
                f"the loss{seed} is {bad.value} at step {bad.step}", checkpoints
            )

    def save(*, force: bool = False) -> None:
        nonlocal saved
        if checkpoints is None or saved == done:
            return
        if done == start and checkpoints.latest() == start:
            return
        check_finite()
        # The last update may have spoilt what the next loss would show.
        if on_nonfinite == "stop" and not bool(_all_finite(state.params)):
            raise _not_finite(
                f"the parameters are not finite after step {done}", checkpoints
            )
        data = {"batches": batches.get_state(), "pending": window.pending()}
        metrics = tested if tested_at == done else None
        checkpoints.save(done, state, data=data, metrics=metrics, force=force)
        saved = done

    with StopRequest() as stop, Progress(steps, start=start, enabled=progress) as line:
        stopping: str | None = None
        alone = jax.process_count() == 1
        while done < steps and stopping is None:
            batch = batches.next()
            if compiled is None:
                began = time.perf_counter()
                jitted = jax.jit(step, donate_argnums=0)
                compiled = jitted.lower(state, batch).compile()
                _check_step(compiled.out_info, state, on_nonfinite)
                compile_seconds = time.perf_counter() - began
                clock.start()
            state, metrics = compiled(state, batch)
            done += 1
            window.add(metrics)
            last = done == steps
            logs = done % log_every == 0
            # A saved best needs the metrics of its own step, so tests come first.
            tests = last or (eval_every > 0 and done % eval_every == 0)
            saves = save_every > 0 and done % save_every == 0
            if not (logs or tests or saves):
                line.update(done, {})
                stopping = stop.name if alone else None
                continue
            if not alone and agree(stop.name is not None):
                # All leave at the same step: a signal may have reached some only.
                stopping = stop.name or "SIGTERM"
            check_finite()
            clock.stop()
            if logs or last:
                record: dict[str, Any] = {**window.means()}
                for name, value in _scalars(hyperparams(state.opt_state)).items():
                    record.setdefault(name, value)
                record["steps_per_second"] = clock.recent_speed(done)
                write("train", record)
                line.update(done, record)
            if logs:
                # Not for a last record between two others: a longer run, resumed
                # from here, then has the windows of one that was never stopped.
                window.clear(done)
            if tests and (evaluate is not None or hooks):
                tested, tested_at = {} if evaluate is None else evaluate(state), done
                write("test", _with_hooks(tested, hooks, done, state))
                line.update(done, {f"test_{k}": v for k, v in tested.items()})
            if saves:
                save()
            if alone:
                # A signal during the records and saves of this step ends it as well.
                stopping = stop.name
            clock.start()
        jax.block_until_ready(state)
        clock.stop()
        save(force=True)
        if checkpoints is not None:
            checkpoints.wait()
    stopped = stopping if done < steps else None
    return FitResult(state, stopped, compile_seconds, clock.per_step(done - start))


@jax.jit
def _all_finite(params: Any) -> jax.Array:
    finite = [
        jnp.all(jnp.isfinite(x)) for x in jax.tree.leaves(params) if is_floating(x)
    ]
    return jnp.all(jnp.array(finite))


def _not_finite(what: str, checkpoints: Checkpoints | None) -> NonFiniteLossError:
    latest = None
    if checkpoints is not None:
        # Its own failure would hide the cause.
        with contextlib.suppress(InputError):
            checkpoints.wait()
        latest = checkpoints.latest()
    if latest is None:
        return NonFiniteLossError(f"{what}; no checkpoint was saved")
    return NonFiniteLossError(f"{what}; the last good checkpoint is step {latest}")


def _check_step(out: Any, state: TrainState, on_nonfinite: str) -> None:
    if not (isinstance(out, tuple) and len(out) == 2):
        raise InputError("the step must give (state, metrics)")
    if lines := differences(state, out[0]):
        raise InputError(
            f"the step must keep shapes and types of the state: {summary(lines)}"
        )
    if "loss" not in out[1]:
        raise InputError("the metrics of the step must have a 'loss'")
    if on_nonfinite == "skip" and "skipped" not in out[1]:
        raise InputError(
            "on_nonfinite='skip' needs make_train_step(..., skip_nonfinite=True)"
        )


def _with_hooks(
    tested: Mapping[str, Any], hooks: Sequence[Hook], done: int, state: TrainState
) -> dict[str, Any]:
    record = dict(tested)
    for hook in hooks:
        for name, value in hook(done, state).items():
            if name in record or name in ("kind", "step", "time"):
                raise InputError(f"a hook gave {name!r}, which the record has already")
            record[name] = value
    return record


def _scalars(values: Mapping[str, Any]) -> dict[str, Any]:
    """Hyper-parameters for the log: one number where all seeds agree."""
    out = {}
    for name, value in values.items():
        array = np.asarray(value)
        same = array.size > 0 and bool(np.all(array == array.flat[0]))
        out[name] = array.flat[0] if same else array
    return out


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
