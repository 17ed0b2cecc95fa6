"""A comparison of runs that exist."""

from __future__ import annotations

import glob
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import recipe_adapters, run_files
from jaxopt_lab.lab.comparison.entries import DATA
from jaxopt_lab.lab.comparison.measures import measure
from jaxopt_lab.lab.comparison.options import Asked
from jaxopt_lab.lab.comparison.study import MEASURES, StudyFolder
from jaxopt_lab.lab.comparison.trainings import Trained, told, trained
from jaxopt_lab.lab.configuration import Configuration
from jaxopt_lab.lab.history import configuration_of
from jaxopt_lab.lab.python_runs import load
from jaxopt_lab.runtime import read_metrics


class _Found(NamedTuple):
    label: str
    folder: Path
    configuration: Configuration

    @property
    def seeds(self) -> range:
        run = self.configuration.run
        return range(run.seed, run.seed + run.seeds)


class Finished(NamedTuple):
    """Runs that may be compared.

    Attributes:
      about: what they have in common; see ``results.results``.
      measured: ``measured(folder)`` gives them, measured, in order.
    """

    about: dict[str, Any]
    measured: Callable[[StudyFolder], list[Trained]]


def finished(asked: Asked, say: Callable[[str], None]) -> Finished:
    """The runs that a command names.

    Args:
      asked: the command.
      say: gets a line for each run that is measured.

    Returns:
      The runs.

    Raises:
      InputError: a folder holds no complete run, or they cannot be compared: tasks or
        data differ, or no seed is common.
    """
    found = _read(folders(asked.options.runs))
    for one in found:
        recipe_adapters.refuse_apart(one.configuration.run.recipe, "compare")
    first = found[0]
    for other in found[1:]:
        for name in DATA:
            mine, its = (getattr(x.configuration.run, name) for x in (first, other))
            if mine != its:
                raise InputError(
                    f"{first.folder} has {name}={mine}, {other.folder} {name}={its}; "
                    "accepted: runs of one task on the same data"
                )
        context = [getattr(x.configuration.model, "context", 0) for x in (first, other)]
        if first.configuration.rows.task.kind == "text" and len(set(context)) > 1:
            raise InputError(
                f"{first.folder} has model.context={context[0]}, {other.folder} "
                f"{context[1]}; accepted: texts cut into the same examples"
            )
    common = [s for s in first.seeds if all(s in other.seeds for other in found)]
    if not common:
        raise InputError(
            "the runs have no seed in common: "
            + ", ".join(f"{x.label} has {_range(x.seeds)}" for x in found)
        )
    lengths = {x.configuration.run.steps for x in found}
    about = {
        "task": first.configuration.run.task,
        "varied": "run",
        "model": sorted({x.configuration.run.model for x in found}),
        "budget": f"steps:{lengths.pop()}" if len(lengths) == 1 else "not the same",
        "seeds": common,
        "noise": asked.noise_levels,
        "sharpness_examples": asked.options.sharpness_examples,
        "trials": 0,
    }

    def measured(folder: StudyFolder) -> list[Trained]:
        return [
            _measured(x, common, asked, folder, f"{i + 1}/{len(found)} {x.label}", say)
            for i, x in enumerate(found)
        ]

    return Finished(about, measured)


def folders(text: str) -> list[Path]:
    """The folders that a text names.

    Args:
      text: folders or patterns, with commas.

    Returns:
      At least two; of a pattern those that hold a run, sorted.

    Raises:
      InputError: a folder holds no run, comes twice, or they are fewer than two.
    """
    found: list[Path] = []
    for word in filter(None, map(str.strip, text.split(","))):
        place = str(Path(word).expanduser())
        if glob.has_magic(place) and not Path(place).is_dir():
            found += [p for p in map(Path, sorted(glob.glob(place))) if _is_run(p)]
        elif not _is_run(Path(place)):
            raise InputError(f"runs={text}: {place} holds no run")
        else:
            found.append(Path(place))
    for path in found:
        if sum(path.resolve() == other.resolve() for other in found) > 1:
            raise InputError(f"runs={text} names {path} twice")
    if len(found) < 2:
        raise InputError(
            f"runs={text} names {len(found)} run(s); accepted: at least two"
        )
    return found


def _is_run(path: Path) -> bool:
    return path.is_dir() and run_files.is_run(path)


def _read(paths: Sequence[Path]) -> list[_Found]:
    configurations = [configuration_of(path, None) for path in paths]
    for path in paths:
        summary = run_files.read_summary(path)
        if not summary.get("complete"):
            raise InputError(
                f"{path} is not complete: it is at step {summary.get('steps', 0)}; "
                "accepted: runs that have ended"
            )
    names = [c.run.method for c in configurations]
    labels = names if len(set(names)) == len(names) else [p.name for p in paths]
    if len(set(labels)) < len(labels):
        labels = [str(path) for path in paths]
    return [_Found(*each) for each in zip(labels, paths, configurations, strict=True)]


def _range(seeds: range) -> str:
    last = seeds[-1]
    return f"seed {last}" if len(seeds) == 1 else f"seeds {seeds[0]} to {last}"


def _measured(
    found: _Found,
    common: Sequence[int],
    asked: Asked,
    folder: StudyFolder,
    where: str,
    say: Callable[[str], None],
) -> Trained:
    name = f"{where.partition('/')[0]}.json"
    summary = run_files.read_summary(found.folder)
    state = {n: summary.get(n) for n in ("steps", "final_accuracy", "final_loss")}
    measured = folder.read(MEASURES, name)
    if measured is None or measured.pop("of", None) != state:
        say(f"{where}: measuring {found.folder}")
        options = asked.options
        measured = measure(
            load(found.folder),
            options.score,
            sharpness_examples=options.sharpness_examples,
            noise=asked.noise_levels,
        )
        folder.write({**measured, "of": state}, MEASURES, name)
    one = trained(
        found.label,
        found.configuration,
        summary,
        read_metrics(found.folder / run_files.METRICS),
        measured,
    )
    one = one._replace(record=_of_seeds(one.record, found.seeds, common))
    say(f"{where}: {told(one)}")
    return one


def _of_seeds(
    record: dict[str, Any], own: range, common: Sequence[int]
) -> dict[str, Any]:
    """The record of some of a run's seeds."""
    places = [own.index(seed) for seed in common]

    def chosen(values: Any) -> Any:
        return None if values is None else [values[i] for i in places]

    curve = [{**point, "scores": chosen(point["scores"])} for point in record["curve"]]
    few = len(places) < len(own)
    return {
        **record,
        "curve": curve,
        "scores": chosen(record["scores"]),
        "sharpness": chosen(record["sharpness"]),
        "noise": [chosen(level) for level in record["noise"]],
        # Of the test examples there is a mean over all seeds alone.
        "examples": [] if few else record["examples"],
    }
