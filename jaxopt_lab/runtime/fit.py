"""The training loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import jax

from jaxopt_lab.core.errors import InputError, unknown
from jaxopt_lab.runtime.checkpoints import Checkpoints
from jaxopt_lab.runtime.control import Decides
from jaxopt_lab.runtime.metrics import Sink
from jaxopt_lab.runtime.processes import any_process
from jaxopt_lab.runtime.progress import Progress
from jaxopt_lab.runtime.run import Run
from jaxopt_lab.runtime.signals import StopRequest
from jaxopt_lab.runtime.step_records import Hook
from jaxopt_lab.training.accumulate import Accumulation
from jaxopt_lab.training.evaluate import Evaluator
from jaxopt_lab.training.sources import as_source
from jaxopt_lab.training.state import TrainState
from jaxopt_lab.training.step import TrainStep

if TYPE_CHECKING:
    from jaxopt_lab.core.typing import BatchSource


class FitResult(NamedTuple):
    """Result of ``fit``.

    Attributes:
      state: the final train state.
      stopped: ``None`` if all steps were taken, else the signal that ended the run.
      compile_seconds: tracing and compiling the step.
      step_seconds: mean wall time of a step, without compiling, evaluations and
        saves; NaN if no step was taken.
      seconds: wall time of the run, that before it was resumed included.
      skipped: number of steps that were skipped; of each seed, where there are
        several.
      early: whether it ended before its last step, for want of better tests.
    """

    state: TrainState
    stopped: str | None
    compile_seconds: float
    step_seconds: float
    seconds: float = 0.0
    skipped: int | list[int] = 0
    early: bool = False


def fit(
    step: TrainStep | Accumulation,
    state: TrainState,
    batches: BatchSource | Any,
    *,
    steps: int,
    log_every: int = 50,
    evaluate: Evaluator | None = None,
    eval_every: int = 0,
    hooks: Sequence[Hook] = (),
    sinks: Sequence[Sink] = (),
    checkpoints: Checkpoints | None = None,
    save_every: int = 0,
    patience: int = 0,
    pending: Mapping[str, list] | None = None,
    resume: Mapping[str, Any] | None = None,
    on_start: Callable[[], None] | None = None,
    on_step: Callable[[int, TrainState], None] | None = None,
    counts: Mapping[str, float] | None = None,
    controller: Decides | None = None,
    first_decision: Mapping[str, Any] | None = None,
    examples: int = 0,
    on_nonfinite: Literal["stop", "skip"] = "stop",
    progress: bool | Literal["auto"] = "auto",
) -> FitResult:
    """Train until ``steps`` steps have been taken in all.

    A restored state and batches set to the position saved with it continue a run bit
    by bit. SIGTERM and Ctrl-C end the
    loop after the present step, with a last save.

    Args:
      step: ``step(state, batch) -> (state, metrics)``, not yet jitted.
      state: where to start; a fresh or a restored one. Stacked for several seeds. It
        is copied, not consumed.
      batches: source of batches, at the position of ``state``; or a list or loader of
        batches, an iterator, a function that gives one, or one batch to repeat, see
        ``training.sources``. A list or loader begins at its first batch.
      steps: number of steps of the whole run, those already in ``state`` included.
      log_every: steps between two records of training metrics, which are means over
        the steps between; hyper-parameters in the optimizer state join them. There is
        always a record of the last step.
      evaluate: evaluator of a state; its results are logged as kind ``"test"``.
      eval_every: steps between two evaluations; 0: only at the end.
      hooks: ``hook(step, state) -> {name: value}``, called when an evaluation is due,
        with or without an evaluator; the results join its record. A hook must
        copy what it keeps of the state: the next step overwrites its buffers.
      sinks: where the records go; closing them is the caller's.
      checkpoints: where states are saved; ``None``: nowhere.
        With a ``best_metric``, a state that an evaluation finds to be the best one
        is saved at once.
      save_every: steps between two saves; 0: only at the end.
      patience: end after this many tests of ``eval_every``, one after another, without
        a better one by the ``best_metric`` of ``checkpoints``; 0: never. The count is
        saved, so that an interrupted run ends where it would have.
      pending: metrics of the steps since the last record; part of ``resume``.
      resume: ``data`` of the restored checkpoint. Means, times and the number of
        skipped steps go on from it, so that the records are those of a run without
        interruption.
      on_start: called once, when the step is compiled and before the first is taken.
        A run that fails earlier, or takes no step, does not call it: the place to
        change files.
      on_step: ``on_step(done, state)``, called after every step; the state may not be
        computed yet, and the next step overwrites its buffers.
      counts: what each step adds to the counts that every record has, such as
        ``{"examples": 64}``. They are saved, so that they go on.
      controller: a rule of ``jaxopt_lab.controllers`` that decides between two steps;
        the step is then one of ``make_accumulation``, ``batches`` are its
        micro-batches, and the records count their ``examples``. Of the decision,
        ``accumulation`` is the number of micro-batches of the next step and the others
        are hyper-parameters that the optimizer's state has as numbers
        (``inject_hyperparams``). Nothing is compiled again. Its state is saved.
      first_decision: for the first step; ``None``: what the controller's state says.
      examples: end when as many have been counted, whatever the number of steps; 0:
        after ``steps`` alone.
      on_nonfinite: ``"stop"``: raise at a non-finite loss; ``"skip"``: go on (the
        step must have been made with ``skip_nonfinite=True``, which leaves the state
        as it was).
      progress: ``True``: a progress line, redrawn on a terminal, elsewhere a new one
        for each record; ``"auto"``: on a terminal only.

    Returns:
      The final state, why it stopped, and timings.

    Raises:
      NonFiniteLossError: the loss is not finite and ``on_nonfinite`` is ``"stop"``.
      InputError: ``steps`` or an interval is out of range, the step does not fit, or
        a save failed.

    Memory: the state twice while it is copied, then once; metrics and batches of a
    few steps in flight.
    """
    _check_intervals(steps, log_every, eval_every, save_every, patience)
    if patience:
        _check_patience(patience, evaluate, eval_every, checkpoints)
    if controller is None and isinstance(step, Accumulation):
        raise InputError("a step of make_accumulation needs controller=")
    if controller is not None and on_nonfinite == "skip":
        raise InputError("on_nonfinite='skip' is not for steps with a controller")
    if controller is None and not callable(step):
        raise InputError(
            f"step of type {type(step).__name__} cannot be called; accepted: "
            "step(state, batch) -> (state, metrics), as make_train_step gives it"
        )
    if not isinstance(state, TrainState):
        raise InputError(
            f"state of type {type(state).__name__} is no TrainState; accepted: what "
            "init_state, init_seeds or Checkpoints.restore give"
        )
    if on_nonfinite not in ("stop", "skip"):
        raise unknown("on_nonfinite", on_nonfinite, ("stop", "skip"))

    run = Run(
        state,
        as_source(batches),
        sinks=sinks,
        checkpoints=checkpoints,
        resume={"pending": pending, **(resume or {})},
        on_nonfinite=on_nonfinite,
        on_start=on_start,
        counts=counts,
        controller=controller,
        first_decision=first_decision,
    )
    del state  # the run has its copy; the caller's may be freed
    stopping: str | None = None
    alone = jax.process_count() == 1
    with (
        StopRequest() as stop,
        Progress(steps, start=run.start, enabled=progress) as line,
    ):
        complete = run.is_complete(steps, examples)
        while not complete and stopping is None and not _early(run, patience):
            run.take_step(step)
            if on_step is not None:
                on_step(run.done, run.state)
            last = complete = run.is_complete(steps, examples)
            logs = run.done % log_every == 0
            due = eval_every > 0 and run.done % eval_every == 0
            tests = last or due
            saves = save_every > 0 and run.done % save_every == 0
            if not (logs or tests or saves):
                line.update(run.done, {})
                stopping = stop.name if alone else None
                continue
            if not alone and any_process(stop.name is not None):
                # A signal may have reached some processes only; all stop at one step.
                stopping = stop.name or "SIGTERM"
            run.check_finite()
            run.clock.stop()
            if logs or last:
                line.update(run.done, run.log_train(clear=logs))
            # Tests precede saves: the best checkpoint needs the metrics of its step.
            if tests and (evaluate is not None or hooks):
                tested = run.log_test(evaluate, hooks)
                line.update(run.done, {f"test_{k}": v for k, v in tested.items()})
            best = tests and run.is_best()
            if due:
                run.stale = 0 if best else run.stale + 1
            if _early(run, patience) and not (logs or last):
                run.log_train(clear=False)  # the last record, as of every run
            if saves or best:
                run.save()
            if alone:
                # A signal during the records and saves of this step ends it as well.
                stopping = stop.name
            run.clock.start()
        run.finish()
    early = not complete and _early(run, patience)
    stopped = None if complete or early else stopping
    return FitResult(
        run.state,
        stopped,
        run.compile_seconds,
        run.clock.per_step(run.done),
        run.clock.elapsed(),
        run.skipped(),
        early,
    )


def _early(run: Run, patience: int) -> bool:
    return 0 < patience <= run.stale


def _check_intervals(
    steps: int, log_every: int, eval_every: int, save_every: int, patience: int
) -> None:
    for name, value, least in (
        ("steps", steps, 1),
        ("log_every", log_every, 1),
        ("eval_every", eval_every, 0),
        ("save_every", save_every, 0),
        ("patience", patience, 0),
    ):
        if value < least:
            raise InputError(
                f"{name}={value} is out of range; accepted: [{least}, inf)"
            )


def _check_patience(
    patience: int,
    evaluate: Evaluator | None,
    eval_every: int,
    checkpoints: Checkpoints | None,
) -> None:
    if evaluate is None or not eval_every:
        raise InputError(f"patience={patience} needs evaluate= and eval_every=")
    if checkpoints is None or not checkpoints.retention.ranks:
        raise InputError(
            f"patience={patience} needs checkpoints=Checkpoints(..., best_metric=), by "
            "which tests are compared"
        )
