"""The writers of a run's records, beside those of its JSON lines."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxopt_lab.core import errors
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import run_files
from jaxopt_lab.lab.run_options import RunOptions
from jaxopt_lab.runtime import Sink, TensorBoard
from jaxopt_lab.runtime.csv_files import CsvFiles
from jaxopt_lab.runtime.tracking import MLflow, WeightsAndBiases


class Writer(NamedTuple):
    """One row of the table.

    Attributes:
      make: ``make(folder, settings, start)``, the sink.
      package: what it needs; empty: nothing.
      extra: the extra of ours that brings it.
    """

    make: Callable[[Path, Mapping[str, Any], int], Sink]
    package: str = ""
    extra: str = ""


def _tracking(kind: type[WeightsAndBiases] | type[MLflow]) -> Writer:
    """The row of a package whose extra of ours has its name."""
    return Writer(lambda f, s, at: kind(f, s, resume_at=at), kind.package, kind.package)


WRITERS: dict[str, Writer] = {
    "csv": Writer(lambda f, s, at: CsvFiles(f / run_files.CSV, resume_at=at)),
    "tensorboard": Writer(
        lambda f, s, at: TensorBoard(f / run_files.TENSORBOARD, resume_at=at),
        "tensorboardX",
        "log",
    ),
    "wandb": _tracking(WeightsAndBiases),
    "mlflow": _tracking(MLflow),
}


def chosen(run: RunOptions) -> list[str]:
    """The names of the writers that a run asks for.

    Args:
      run: its options.

    Returns:
      The names, in the table's order.

    Raises:
      InputError: a name is unknown.
    """
    asked = [name for name in run.writers.split(",") if name]
    for name in asked:
        if name not in WRITERS:
            raise errors.unknown("writer", name, WRITERS)
    if run.tensorboard:
        asked.append("tensorboard")
    return [name for name in WRITERS if name in asked]


def check(run: RunOptions) -> None:
    """Refuse a writer whose package is not installed, before anything is written.

    Args:
      run: the options.

    Raises:
      InputError: the line says what to install.
    """
    for name in chosen(run):
        package = WRITERS[name].package
        if package and not _installed(package):
            raise InputError(
                f"writers={name} needs {package}: pip install "
                f"'jaxopt_lab[{WRITERS[name].extra}]'"
            )


def made(
    run: RunOptions, folder: Path, settings: Mapping[str, Any], start: int
) -> list[Callable[[], Sink]]:
    """Makers of the sinks of a run.

    Args:
      run: names the writers.
      folder: of the run.
      settings: its configuration.
      start: the step from which it goes on.

    Returns:
      Functions that open them.
    """

    def maker(name: str) -> Callable[[], Sink]:
        return lambda: WRITERS[name].make(folder, settings, start)

    return [maker(name) for name in chosen(run)]


def _installed(package: str) -> bool:
    return package in sys.modules or importlib.util.find_spec(package) is not None
