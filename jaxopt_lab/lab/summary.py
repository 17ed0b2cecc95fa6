"""The figures of a run, as ``summary.json`` holds them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from jaxopt_lab.core import trees
from jaxopt_lab.lab import history, recipe_adapters, statistics
from jaxopt_lab.lab.configuration import Configuration
from jaxopt_lab.lab.run_files import METRICS
from jaxopt_lab.runtime import FitResult, read_metrics


def begun(
    configuration: Configuration, start: int, entry: Mapping[str, Any]
) -> dict[str, Any]:
    """The summary of a run that trains: it stays if the process is killed.

    Args:
      configuration: the run.
      start: steps taken before.
      entry: of the history.

    Returns:
      The names of the run, ``complete`` false, and ``steps``, those taken before.
    """
    return {**_names(configuration), "complete": False, "steps": start, **entry}


def of_run(
    configuration: Configuration,
    fitted: FitResult,
    mesh: Mesh | None,
    folder: Path,
) -> dict[str, Any]:
    """The summary of a run that has ended, complete or not.

    Args:
      configuration: the run.
      fitted: the result of training.
      mesh: of the run.
      folder: of the run.

    Returns:
      The figures. ``best_accuracy`` is the test accuracy at ``best_step``, the test at
      which the mean accuracy over the seeds was largest on ``selected_on``.
    """
    run, state = configuration.run, fitted.state
    parameters = trees.count(state.params)
    last = (history.read(folder) or [{}])[-1]
    told = ("versions", "commit", "command", "host")
    figures: dict[str, Any] = {
        **_names(configuration),
        "complete": fitted.stopped is None,
        "stopped": fitted.stopped,
        "ended_early": run.patience if fitted.early else None,
        "steps": int(np.ravel(state.step)[0]),
        "planned_steps": run.steps,
        "skipped": fitted.skipped,
        "parameters": parameters // run.seeds,
        "state_bytes_per_parameter": trees.nbytes(state.opt_state) / parameters,
        "device": jax.devices()[0].device_kind,
        "mesh": mesh_text(mesh),
        "processes": jax.process_count(),
        "step_seconds": fitted.step_seconds,
        "compile_seconds": fitted.compile_seconds,
        "wall_seconds": fitted.seconds,
        **{name: last.get(name) for name in told},
    }
    every = read_metrics(folder / METRICS)
    if run.controller != "none" and every:
        trained = [r["batch"] for r in every if "batch" in r]
        figures["batches"] = [run.batch_size, trained[-1]]
        figures["examples"] = every[-1]["examples"]
    records = [r for r in every if r["kind"] == "test"]
    if not records:
        return figures
    adapter = recipe_adapters.of_configuration(configuration)
    if adapter.classifies:
        figures |= _accuracies(records, bool(run.val))
    else:
        figures |= _scores(records, chosen_by(configuration), adapter)
    return figures | adapter.figures(records, configuration)


def chosen_by(configuration: Configuration) -> str:
    """The result of a test by which the best checkpoint of a run is chosen."""
    score = recipe_adapters.of_configuration(configuration).score
    return f"val_{score}" if configuration.run.val else score


def mesh_text(mesh: Mesh | None) -> str:
    """A mesh as the command line names it; ``"one device"`` for none."""
    if mesh is None:
        return "one device"
    return ",".join(f"{name}:{size}" for name, size in mesh.shape.items())


def _names(configuration: Configuration) -> dict[str, Any]:
    run = configuration.run
    named = {"method": run.method, "task": run.task, "model": run.model}
    if run.recipe != "none":
        named["recipe"] = run.recipe
    return {**named, "seeds": run.seeds}


def _scores(
    records: list[dict[str, Any]], chosen: str, adapter: recipe_adapters.Adapter
) -> dict[str, Any]:
    """The results of tests of a network that is no classifier."""
    means = [float(np.mean(r[chosen])) for r in records]
    best = records[int(np.argmax(means))]
    last = {name: np.ravel(records[-1][name]).tolist() for name in adapter.scores}
    figures = {
        "score": adapter.score,
        "final_scores": last,
        "best_score": np.ravel(best[adapter.score]).tolist(),
        "best_step": best["step"],
        "selected_on": "validation" if chosen.startswith("val_") else "test",
    }
    if "loss" in records[-1]:
        figures["final_loss"] = np.ravel(records[-1]["loss"]).tolist()
    return figures


def _accuracies(records: list[dict[str, Any]], validated: bool) -> dict[str, Any]:
    chosen_by = "val_accuracy" if validated else "accuracy"
    scores = [float(np.mean(r[chosen_by])) for r in records]
    best = records[int(np.argmax(scores))]
    last = {name: np.ravel(records[-1][name]) for name in ("accuracy", "loss")}
    figures = {
        "final_accuracy": last["accuracy"].tolist(),
        "best_accuracy": np.ravel(best["accuracy"]).tolist(),
        "best_step": best["step"],
        "selected_on": "validation" if validated else "test",
        "final_loss": last["loss"].tolist(),
        "final_accuracy_mean": statistics.mean_interval(last["accuracy"]).mean,
    }
    for name in records[-1]:
        if name == "perplexity" or name.startswith("bits_per_"):
            figures[f"final_{name}"] = np.ravel(records[-1][name]).tolist()
    if "ema_accuracy" in records[-1]:
        averaged = np.ravel(records[-1]["ema_accuracy"])
        figures["final_ema_accuracy"] = averaged.tolist()
    if validated:
        figures["best_val_accuracy"] = np.ravel(best["val_accuracy"]).tolist()
    return figures
