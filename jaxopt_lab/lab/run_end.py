"""The end of a run: whether it has come, and the summary that is kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from jaxopt_lab.lab import run_files, run_folder, summary
from jaxopt_lab.lab.assembly import Program
from jaxopt_lab.lab.configuration import Configuration
from jaxopt_lab.runtime import FitResult
from jaxopt_lab.training import TrainState


def ended_early(configuration: Configuration, resume: Mapping[str, Any] | None) -> bool:
    """Whether a checkpoint is the end of a run that its tests ended."""
    return 0 < configuration.run.patience <= (resume or {}).get("stale", 0)


def inputs_told(program: Program) -> dict[str, Any]:
    """The type of integer images, which the training step divides by 255."""
    batches = program.test
    if callable(batches) or program.kind != "image":
        return {}
    dtype = batches[0]["image"].dtype
    if jnp.issubdtype(dtype, jnp.floating):
        return {}
    return {"inputs": f"{dtype.name}, divided by 255 in the training step"}


def kept_summary(
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
        ended_early(configuration, resume),
    )
    figures |= summary.of_run(configuration, fitted, program.mesh, folder)
    figures |= inputs_told(program)
    figures["compile_seconds"] = None
    place.write(run_files.SUMMARY, figures)
    return figures
