"""One run, from its configuration to its result files."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import (
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
from jaxopt_lab.lab.run_end import ended_early, inputs_told, kept_summary
from jaxopt_lab.lab.run_files import METRICS
from jaxopt_lab.lab.run_settings import normal as normal
from jaxopt_lab.lab.run_settings import settings_of as settings_of
from jaxopt_lab.lab.run_start import OpenedLater, at_start, begin_files, profile_of
from jaxopt_lab.runtime import (
    Checkpoints,
    FitResult,
    JsonLines,
    NonFiniteLossError,
    fit,
    processes,
)
from jaxopt_lab.runtime.folder_lock import FolderLock
from jaxopt_lab.runtime.profile import longest

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
                best_metric=summary.chosen_by(configuration),
            )
        )
        state, resume, start = program.state, None, 0
        if checkpoints.latest() is not None and run.existing != "overwrite":
            restored = checkpoints.restore(state)
            state, start, resume = restored.state, restored.step, restored.data
            program.batches.set_state(resume["batches"])
        early = ended_early(configuration, resume)
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
            figures = kept_summary(
                place, folder, configuration, program, state, resume or {}
            )
            return Outcome(folder, None, None, figures, program)
        begin, sinks = None, []
        if place is not None:
            sinks = [OpenedLater(lambda: JsonLines(folder / METRICS, resume_at=start))]
            sinks += map(OpenedLater, writers.made(run, folder, settings, start))
            begin = functools.partial(
                begin_files, place, start, configuration, program, sinks
            )
        profile = profile_of(run, folder, start)
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
                on_start=at_start(begin, profile, start),
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
            figures |= inputs_told(program)
            seconds = fitted.step_seconds
            figures |= throughput.speed(configuration, program, seconds)
            figures["longest_operations"] = (
                [] if profile is None else longest(profile.folder)
            )
            place.write(run_files.SUMMARY, figures)
        return Outcome(folder, fitted, fitted.stopped, figures, program)


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


def _progress(wanted: str) -> bool | Literal["auto"]:
    """On a terminal without rich nothing is drawn, unless it is asked for."""
    if wanted == "auto" and sys.stderr.isatty():
        return "auto"
    return wanted != "off"


def _hooks(configuration: Configuration, program: Program, folder: Path) -> list[Any]:
    if configuration.run.curvature == "off":
        return []
    batches = program.fixed(configuration.run.curvature_examples)
    hook = probing.hook(configuration, program, batches, folder)
    return [lambda step, state: hook(step, program.view(state))]
