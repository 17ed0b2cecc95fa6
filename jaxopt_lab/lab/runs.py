"""One run, from its configuration to its result files."""

from __future__ import annotations

import contextlib
import datetime
import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import (
    command_line,
    initial_weights,
    probing,
    run_files,
    run_folder,
    summary,
    throughput,
    writers,
)
from jaxopt_lab.lab.assembly import Program, assemble
from jaxopt_lab.lab.configuration import Configuration
from jaxopt_lab.lab.provenance import circumstances
from jaxopt_lab.lab.run_files import METRICS
from jaxopt_lab.lab.run_options import PRESENTATION, TOPOLOGY, RunOptions
from jaxopt_lab.runtime import (
    Checkpoints,
    FitResult,
    JsonLines,
    NonFiniteLossError,
    Sink,
    fit,
    processes,
)
from jaxopt_lab.runtime.folder_lock import FolderLock
from jaxopt_lab.runtime.profile import Profile, longest
from jaxopt_lab.training import TrainState

__all__ = ["Outcome", "assemble", "normal", "settings_of", "train"]


class Outcome(NamedTuple):
    """Result of a run.

    Attributes:
      folder: of its files.
      fitted: final state and timings; ``None`` if the run was complete before.
      stopped: name of the signal that ended it, or ``None``.
      summary: the figures of the closing table, as in ``summary.json``.
      program: its parts.
    """

    folder: Path
    fitted: FitResult | None
    stopped: str | None
    summary: dict[str, Any]
    program: Program


def train(
    configuration: Configuration,
    folder: Path | None = None,
    *,
    say: Callable[[str], None] | None = None,
) -> Outcome:
    """Train, or continue training, in a folder.

    Args:
      configuration: the run.
      folder: made if it is not there; see ``RunOptions.existing``. ``None``: that of
        the option ``out``, or a new one.
      say: gets a line with the folder, if it is a new one.

    Returns:
      The outcome; its summary is in ``summary.json`` too, the metrics in
      ``metrics.jsonl``. A run that takes no step changes no file.

    Raises:
      InputError: a part does not fit, another process has the folder, or it belongs to
        another run. Before the first step the folder is left as it was.
      NonFiniteLossError: the loss is not finite.
    """
    run = configuration.run
    settings = settings_of(configuration)
    writers.check(run)
    if folder is None and run.out:
        folder = Path(run.out).expanduser()
    first = processes.is_first()
    with contextlib.ExitStack() as stack:
        if folder is not None:
            # An error of one process must end the others, from here on.
            reader = Checkpoints(folder / run_files.CHECKPOINTS, read_only=True)
            stack.enter_context(processes.fail_together(reader.latest))
        if first and folder is not None:
            # Once more below, when no other process can change the answer.
            run_folder.check(folder, settings, run.existing, normal)
            if folder.is_dir():
                FolderLock(folder).release()
        begin_with = None
        if not _has_checkpoint(folder) or run.existing == "overwrite":
            begin_with = initial_weights.of_run(configuration)
        program = assemble(configuration, begin_with)
        if begin_with is not None and say is not None:
            shapes = program.view(program.state).params
            say(
                initial_weights.told(
                    begin_with, _one_seed(shapes, run.seeds), run.freeze
                )
            )
        place = None
        if first:
            place = stack.enter_context(run_folder.RunFolder(run, folder))
            if folder is None and say is not None:
                say(f"run folder: {place.path}")
            folder = place.path
        assert folder is not None  # several processes are refused without out=
        changed = place is not None and run_folder.check(
            folder, settings, run.existing, normal
        )
        checkpoints = stack.enter_context(
            Checkpoints(
                folder / run_files.CHECKPOINTS,
                keep=run.keep,
                best_metric="val_accuracy" if run.val else "accuracy",
            )
        )
        state, resume, start = program.state, None, 0
        if checkpoints.latest() is not None and run.existing != "overwrite":
            restored = checkpoints.restore(state)
            state, start, resume = restored.state, restored.step, restored.data
            program.batches.set_state(resume["batches"])
        early = _ended_early(configuration, resume)
        control = program.control
        seen = (resume or {}).get("counts", {}).get("examples", 0)
        complete = start >= run.steps
        if control is not None:
            complete |= seen >= control.examples
        if complete or early:
            if changed:
                more = "patience" if early else "steps"
                raise InputError(
                    f"existing=continue would take no step: {folder} is at step "
                    f"{start} of steps={run.steps}; give a larger {more}="
                )
            figures = _kept(place, folder, configuration, program, state, resume or {})
            return Outcome(folder, None, None, figures, program)
        begin, sinks = None, []
        if place is not None:
            sinks = [_Opened(lambda: JsonLines(folder / METRICS, resume_at=start))]
            sinks += map(_Opened, writers.made(run, folder, settings, start))
            begin = functools.partial(
                _begin, place, start, configuration, program, sinks
            )
        profile = _profile(run, folder, start)
        if profile is not None:
            stack.callback(profile.close)
        for sink in sinks:
            stack.callback(sink.close)
        try:
            fitted = fit(
                program.step,
                state,
                program.batches,
                steps=run.steps,
                log_every=run.log_every,
                evaluate=program.evaluate,
                eval_every=run.eval_every,
                hooks=_hooks(configuration, program, folder),
                sinks=sinks,
                checkpoints=checkpoints,
                save_every=run.save_every,
                patience=run.patience,
                resume=resume,
                on_start=_both(begin, profile, start),
                on_step=None if profile is None else profile.step,
                counts=throughput.counts(configuration),
                controller=None if control is None else control.controller,
                first_decision=None if control is None else control.first,
                examples=0 if control is None else control.examples,
                on_nonfinite=run.on_nonfinite,
                progress=first and _progress(run.progress),
            )
        except NonFiniteLossError as error:
            if place is not None:
                told = {"stopped": "non-finite loss", "steps": error.done}
                kept = run_files.read_summary(folder)
                place.write(run_files.SUMMARY, {**kept, **told})
            raise
        figures = {}
        if place is not None:
            trained = fitted._replace(state=program.view(fitted.state))
            figures = summary.of_run(configuration, trained, program.mesh, folder)
            figures |= _inputs(program)
            seconds = fitted.step_seconds
            figures |= throughput.speed(configuration, program, seconds)
            figures["longest_operations"] = (
                [] if profile is None else longest(profile.folder)
            )
            place.write(run_files.SUMMARY, figures)
        return Outcome(folder, fitted, fitted.stopped, figures, program)


def _inputs(program: Program) -> dict[str, Any]:
    """The type of integer images, which the training step divides by 255."""
    batches = program.test
    if callable(batches) or program.kind != "image":
        return {}
    dtype = batches[0]["image"].dtype
    if jnp.issubdtype(dtype, jnp.floating):
        return {}
    return {"inputs": f"{dtype.name}, divided by 255 in the training step"}


def _has_checkpoint(folder: Path | None) -> bool:
    if folder is None:
        return False
    saved = folder / run_files.CHECKPOINTS
    return Checkpoints(saved, read_only=True).latest() is not None


def _one_seed(params: Any, seeds: int) -> Any:
    """Shapes of the parameters of one seed."""

    def one(p: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(p.shape[seeds > 1 :], p.dtype)

    return jax.tree.map(one, params)


def settings_of(configuration: Configuration) -> dict[str, Any]:
    """The options that tell one run from another, as ``config.json`` holds them."""
    hidden = PRESENTATION | TOPOLOGY
    return {k: v for k, v in configuration.flat().items() if k not in hidden}


def normal(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run of an older version, with the defaults of newer options."""
    try:
        return settings_of(command_line.from_settings(settings))
    except (InputError, SystemExit):
        return dict(settings)


def _progress(wanted: str) -> bool | Literal["auto"]:
    """On a terminal without rich nothing is drawn, unless it is asked for."""
    if wanted == "auto" and sys.stderr.isatty():
        return "auto"
    return wanted != "off"


def _profile(run: RunOptions, folder: Path, start: int) -> Profile | None:
    steps = throughput.profiled_steps(run)
    if steps is None:
        return None
    if start >= steps[0]:
        raise InputError(
            f"profile={run.profile} would trace nothing: the run is at step {start}"
        )
    return Profile(folder / run_files.PROFILE, *steps)


def _both(
    begin: Callable[[], None] | None, profile: Profile | None, start: int
) -> Callable[[], None]:
    """Called when the step is compiled: claims the files, and may begin a trace."""

    def both() -> None:
        if begin is not None:
            begin()
        if profile is not None:
            profile.step(start)

    return both


def _ended_early(
    configuration: Configuration, resume: Mapping[str, Any] | None
) -> bool:
    """Whether a checkpoint is the end of a run that its tests ended."""
    return 0 < configuration.run.patience <= (resume or {}).get("stale", 0)


class _Opened:
    """A sink that is opened when the run begins."""

    def __init__(self, make: Callable[[], Sink]) -> None:
        self._make = make
        self._sink: Sink | None = None

    def open(self) -> None:
        self._sink = self._make()

    def write(self, step: int, record: Mapping[str, Any]) -> None:
        assert self._sink is not None
        self._sink.write(step, record)

    def close(self) -> None:
        if self._sink is not None:
            self._sink.close()


def _begin(
    place: run_folder.RunFolder,
    start: int,
    configuration: Configuration,
    program: Program,
    sinks: Sequence[_Opened],
) -> None:
    """Claim the folder's files, when the step is compiled and none is taken."""
    entry = {
        **circumstances(),
        "command": command_line.command(configuration, str(place.path)),
        "mesh": summary.mesh_text(program.mesh),
        "began": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
    }
    overwrite = configuration.run.existing == "overwrite"
    place.begin(start, settings_of(configuration), entry, overwrite=overwrite)
    told = summary.begun(configuration, start, entry)
    place.write(run_files.SUMMARY, told)
    if program.characters:
        place.write(run_files.VOCABULARY, {"characters": program.characters})
    for sink in sinks:
        sink.open()


def _kept(
    place: run_folder.RunFolder | None,
    folder: Path,
    configuration: Configuration,
    program: Program,
    state: TrainState,
    resume: Mapping[str, Any],
) -> dict[str, Any]:
    """The summary of a run without a step to take; written if its end was lost."""
    figures = run_files.read_summary(folder)
    if place is None or figures.get("complete", bool(figures)):
        return figures
    clock = resume.get("clock", {})
    seconds = clock.get("stepping", 0.0) / max(clock.get("steps", 0), 1)
    elapsed, skipped = clock.get("elapsed", 0.0), resume.get("skipped", 0)
    fitted = FitResult(
        program.view(state),
        None,
        float("nan"),
        seconds,
        elapsed,
        skipped,
        _ended_early(configuration, resume),
    )
    figures |= summary.of_run(configuration, fitted, program.mesh, folder)
    figures |= _inputs(program)
    figures["compile_seconds"] = None
    place.write(run_files.SUMMARY, figures)
    return figures


def _hooks(configuration: Configuration, program: Program, folder: Path) -> list[Any]:
    if configuration.run.curvature == "off":
        return []
    batches = program.fixed(configuration.run.curvature_examples)
    hook = probing.hook(configuration, program, batches, folder)
    return [lambda step, state: hook(step, program.view(state))]
