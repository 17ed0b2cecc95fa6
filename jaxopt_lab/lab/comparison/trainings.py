"""The runs of a comparison, trained one after another, and resumed where they were."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxopt_lab.lab import ended_run, run_files, runs
from jaxopt_lab.lab.comparison import budgets
from jaxopt_lab.lab.comparison.budgets import Budget
from jaxopt_lab.lab.comparison.entries import Entry
from jaxopt_lab.lab.comparison.measures import measure, plain
from jaxopt_lab.lab.comparison.options import Asked
from jaxopt_lab.lab.comparison.study import MEASURES, PLANS, StudyFolder
from jaxopt_lab.lab.configuration import Configuration
from jaxopt_lab.lab.statistics import mean_interval
from jaxopt_lab.lab.trained_run import Run
from jaxopt_lab.runtime import read_metrics

Say = Callable[[str], None]


class Stopped(Exception):
    """A signal has ended the training of a run, whose state is saved.

    Attributes:
      signal: its name.
      complete: number of runs that are complete.
    """

    def __init__(self, signal: str, complete: int) -> None:
        super().__init__(signal)
        self.signal, self.complete = signal, complete


class Trained(NamedTuple):
    """A complete run of a comparison.

    Attributes:
      label: its name.
      settings: all options that tell it from another run.
      record: what is compared, as JSON holds it; see ``record``.
      times: seconds, which differ from one machine to the next.
    """

    label: str
    settings: dict[str, Any]
    record: dict[str, Any]
    times: dict[str, Any]


def train(
    entries: Sequence[Entry],
    budget: Budget,
    units: Mapping[str, float],
    asked: Asked,
    folder: StudyFolder,
    say: Say,
) -> list[Trained]:
    """Train and measure every run that is not complete yet.

    Args:
      entries: the runs.
      budget: of each.
      units: what a step of each spends; see ``budgets.of_steps``.
      asked: the command.
      folder: of the comparison.
      say: gets a line before and after each run.

    Returns:
      The runs, in order.

    Raises:
      InputError: a part does not fit.
      Stopped: a signal came.
    """
    found = []
    for number, entry in enumerate(entries):
        where = f"{number + 1}/{len(entries)} {entry.label}"
        planned = plan(entry, budget, units.get(entry.label), asked, folder, where, say)
        configuration = entry.configuration(planned["steps"], planned["tuned"])
        place = folder.run(entry)
        measured = folder.read(MEASURES, f"{entry.slug}.json")
        known = run_files.read_summary(place)
        if measured is None or not known.get("complete"):
            each = units.get(entry.label)
            spent = f" of {each:g} {budget.unit}" if each not in (None, 1.0) else ""
            seeds = asked.options.seeds
            say(f"{where}: {planned['steps']:,} steps{spent}, {seeds} seed(s)")
            outcome = runs.train(configuration, place)
            if outcome.stopped is not None:
                raise Stopped(outcome.stopped, number)
            run = ended_run.of_outcome(configuration, outcome)
            measured = _measured(run, asked)
            folder.write(measured, MEASURES, f"{entry.slug}.json")
        one = trained(
            entry.label,
            configuration,
            run_files.read_summary(place),
            read_metrics(place / run_files.METRICS),
            measured,
        )
        if (each := units.get(entry.label)) is not None:
            over = configuration.parts.get("controller", {}).get("max_batch", 0)
            last = one.record["curve"][-1]
            budgets.check_spent(budget, last, each, entry.label, over)
        one.record["tuned"] = planned["tuned"]
        say(f"{where}: {told(one)}")
        found.append(one)
    return found


def told(one: Trained) -> str:
    """A run in one line."""
    scores = [np.nan if x is None else x for x in one.record["scores"]]
    mean, half = mean_interval(scores)
    spread = "" if np.isnan(half) else f" ± {half:.4f}"
    seconds = one.times.get("step_seconds")
    speed = f", {1e3 * seconds:.2f} ms a step" if seconds else ""
    return f"{one.record['score']} {mean:.4f}{spread}{speed}"


def trained(
    label: str,
    configuration: Configuration,
    summary: Mapping[str, Any],
    records: Sequence[Mapping[str, Any]],
    measured: Mapping[str, Any],
) -> Trained:
    """A complete run from its files.

    Args:
      label: its name.
      configuration: its options.
      summary: as ``summary.json`` holds it.
      records: its metrics.
      measured: see ``measures.measure``.

    Returns:
      The run. Its record has ``scores``, one of each seed after the last step;
      ``curve``, the tests along the run with ``step``, ``examples``, ``gradients`` and
      ``scores``; ``skipped``, steps whose loss was not finite; ``parameters`` and
      ``state_bytes_per_parameter``; and what was measured.
    """
    name = measured["score"]
    tests = [r for r in records if r["kind"] == "test"]
    counts = ("step", "examples", "gradients")
    curve = [
        {**{n: r[n] for n in counts if n in r}, "scores": plain(_floats(r[name]))}
        for r in tests
    ]
    skipped = np.ravel(summary.get("skipped", 0))
    record = {
        "scores": curve[-1]["scores"],
        "curve": curve,
        "skipped": [int(x) for x in skipped],
        "parameters": summary["parameters"],
        "state_bytes_per_parameter": summary["state_bytes_per_parameter"],
        **measured,
    }
    times = {name: summary.get(name) for name in _TIMES}
    every = runs.settings_of(configuration)
    # Without the place of the data on this machine; JSON has no infinity.
    settings = {n: _json(x) for n, x in every.items() if n != "data_dir"}
    return Trained(label, settings, record, times)


_TIMES = (
    "step_seconds",
    "compile_seconds",
    "wall_seconds",
    "device",
    "host",
    "commit",
    "versions",
)


def _json(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value


def _floats(value: Any) -> list[float]:
    every = np.ravel(np.array(value, object))
    return [np.nan if x is None else float(x) for x in every]


def _measured(run: Run, asked: Asked) -> dict[str, Any]:
    return measure(
        run,
        asked.options.score,
        sharpness_examples=asked.options.sharpness_examples,
        noise=asked.noise_levels,
    )


def plan(
    entry: Entry,
    budget: Budget,
    each: float | None,
    asked: Asked,
    folder: StudyFolder,
    where: str,
    say: Say,
) -> dict[str, Any]:
    """Number of steps and tuned options, kept so that a resumed run has the same.

    Args:
      entry: the run.
      budget: of it.
      each: spent by a step; ``None``: seconds, which are measured.
      asked: the command.
      folder: of the comparison.
      where: the run in lines of progress.
      say: gets them.

    Returns:
      ``steps`` and ``tuned``, options by name.
    """
    kept = folder.read(PLANS, f"{entry.slug}.json")
    if kept is not None:
        return kept
    if each is None:
        each = budgets.seconds_a_step(entry.configuration(1000))
        say(f"{where}: {1e3 * each:.2f} ms a step")
    steps = budgets.steps(budget, each, entry.label)
    tuned: dict[str, Any] = {}
    if asked.options.tune:
        from jaxopt_lab.lab import tuning

        options = asked.options
        tuned = tuning.best_settings(
            entry.configuration(steps),
            trials=options.tune,
            folder=folder.trials(entry),
            seeds=range(options.seed, options.seed + options.seeds),
            progress=lambda done, trials, best: say(
                f"{where}: trial {done} of {trials}, best validation {best:.4f}"
            ),
        )
        chosen = ", ".join(f"{name}={x:.4g}" for name, x in tuned.items())
        say(f"{where}: tuned to {chosen or 'nothing: it has no range'}")
    made = {"steps": steps, "tuned": tuned}
    folder.write(made, PLANS, f"{entry.slug}.json")
    return made
