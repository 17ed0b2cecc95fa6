"""A comparison, from its options to its folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxopt_lab.lab.comparison import budgets, page
from jaxopt_lab.lab.comparison import entries as entries_of
from jaxopt_lab.lab.comparison import options as options_of
from jaxopt_lab.lab.comparison.finished import finished
from jaxopt_lab.lab.comparison.options import Asked
from jaxopt_lab.lab.comparison.results import results
from jaxopt_lab.lab.comparison.study import RESULTS, STUDY, TIMES, StudyFolder, proposed
from jaxopt_lab.lab.comparison.trainings import Stopped, Trained, train


class Comparison(NamedTuple):
    """A finished comparison.

    Attributes:
      folder: of its files.
      results: as ``results.json`` holds them; see ``results.results``.
      report: path of the page.
    """

    folder: Path
    results: dict[str, Any]
    report: Path


def compare(
    methods: str | Sequence[str] = (), *, progress: bool = False, **options: Any
) -> Comparison:
    """Compare methods in Python: ``jaxopt-lab compare`` with its options.

    Args:
      methods: of the catalog; empty: the default ones, or those that ``vary`` or
        ``runs`` stand for.
      progress: print the lines of progress.
      **options: as on the command line: ``task="digits"``, ``seeds=5``,
        ``budget="gradients:2000"``, ``vary="norm"``, ``values=["batch", "layer"]``,
        ``out=folder``, and those of the runs.

    Returns:
      The comparison.

    Raises:
      InputError: an option cannot be used.
      KeyboardInterrupt: Ctrl-C; called again with the same ``out`` it goes on.

    Example::

      found = jaxopt_lab.lab.compare(["sgd", "sam"], seeds=5, budget="gradients:500")
      found.results["pairs"]
    """
    given = {"methods": methods, **options} if methods else options
    asked = options_of.of_options({"progress": "off", **given})

    def say(text: str) -> None:
        if progress:
            print(text, flush=True)

    try:
        return run_comparison(asked, say, lambda _: None)
    except Stopped as error:
        raise KeyboardInterrupt(error.signal) from None


def run_comparison(
    asked: Asked, say: Callable[[str], None], begun: Callable[[Path], None]
) -> Comparison:
    """Compare, or go on comparing.

    Args:
      asked: the command.
      say: gets lines of progress.
      begun: gets the folder before anything is trained.

    Returns:
      The comparison. Its folder has ``results.json``, which is the same to the bit
      whether or not the comparison was interrupted, ``times.json``, ``report.html`` and
      the runs.

    Raises:
      InputError: a part does not fit.
      trainings.Stopped: a signal came; what is trained is kept.
    """
    options = asked.options
    out = Path(options.out).expanduser() if options.out else None
    if options.runs:
        chosen = finished(asked, say)
        path = out or proposed(chosen.about["task"])
        with StudyFolder(path, asked.settings()) as folder:
            begun(path)
            return _written(folder, asked, chosen.about, chosen.measured(folder))
    budget = budgets.parse(options.budget)
    entries = entries_of.entries(asked)
    configurations = {entry.label: entry.first for entry in entries}
    units = budgets.of_steps(budget, configurations)
    first = configurations[entries[0].label].run
    path = out or proposed(first.task)
    if not (path / STUDY).exists():
        entries_of.check(entries)
    with StudyFolder(path, asked.settings()) as folder:
        begun(path)
        runs = train(entries, budget, units, asked, folder, say)
        about = {
            "task": first.task,
            "varied": options.vary or "method",
            "model": sorted({run.settings["model"] for run in runs}),
            "budget": str(budget),
            "seeds": list(range(options.seed, options.seed + options.seeds)),
            "noise": asked.noise_levels,
            "sharpness_examples": options.sharpness_examples,
            "trials": options.tune,
        }
        return _written(folder, asked, about, runs)


def _written(
    folder: StudyFolder, asked: Asked, about: dict[str, Any], runs: list[Trained]
) -> Comparison:
    found = results(about, runs)
    times = {run.label: run.times for run in runs}
    folder.write(found, RESULTS)
    folder.write(times, TIMES)
    report = page.write(folder.path, found, times, asked.command(str(folder.path)))
    return Comparison(folder.path, found, report)
