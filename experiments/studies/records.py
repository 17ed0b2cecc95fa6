"""Standard results of the studies, as they are kept in the repository."""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from experiments.harness.report import plain
from experiments.studies.study import Study
from experiments.studies.verdicts import Verdict
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab.provenance import commit, versions
from jaxopt_lab.runtime.metrics import write_atomically

FOLDER = Path(__file__).parent
_FILE = Path("results") / "standard.json"
_INF = float("inf")


class Record(NamedTuple):
    """A standard run of a study.

    Attributes:
      name: of the study.
      command: that made it.
      settings: its numbers.
      processor_seconds: of the run.
      versions: of Python and the packages.
      commit: of the checkout.
      verdicts: of all its claims.
    """

    name: str
    command: str
    settings: Mapping[str, Any]
    processor_seconds: float
    versions: Mapping[str, str]
    commit: str | None
    verdicts: tuple[Verdict, ...]


def names() -> list[str]:
    """The sorted names of the studies."""
    return sorted(path.parent.name for path in FOLDER.glob("*/__main__.py"))


def study(name: str) -> Study:
    """The study of a name.

    Args:
      name: of its folder.

    Returns:
      The study.
    """
    return importlib.import_module(f"experiments.studies.{name}.__main__").STUDY


def keep(name: str, found: Path, command: str, folder: Path = FOLDER) -> Path:
    """Keep the verdicts of a standard run.

    Args:
      name: of the study.
      found: folder of the run's ``results.json``.
      command: that made it.
      folder: of the studies.

    Returns:
      The file.

    Raises:
      InputError: the run has no verdicts.
    """
    results = json.loads((found / "results.json").read_text())
    if not results["verdicts"]:
        raise InputError(f"{found} has no verdicts: it is no standard run")
    record = {
        "name": name,
        "command": command,
        "settings": results["settings"],
        "processor_seconds": results["processor_seconds"],
        "versions": versions(),
        "commit": commit(),
        "verdicts": results["verdicts"],
    }
    path = folder / name / _FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_finite(plain(record)), indent=1, allow_nan=False) + "\n"
    write_atomically(path, text.encode())
    return path


def read(name: str, folder: Path = FOLDER) -> Record | None:
    """The standard run of a study.

    Args:
      name: of the study.
      folder: of the studies.

    Returns:
      The record; ``None`` where none is kept.
    """
    path = folder / name / _FILE
    if not path.is_file():
        return None
    found = json.loads(path.read_text())
    return Record(**{**found, "verdicts": tuple(map(_verdict, found["verdicts"]))})


def _finite(tree: Any) -> Any:
    """The tree with ``None`` for what JSON has no number for."""
    if isinstance(tree, Mapping):
        return {name: _finite(value) for name, value in tree.items()}
    if isinstance(tree, list):
        return [_finite(value) for value in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree


def _verdict(found: Mapping[str, Any]) -> Verdict:
    low, high = found["accepted"]
    ends = (-_INF if low is None else low, _INF if high is None else high)
    numbers = ("mean", "low", "high", "smallest", "p")
    missing = {n: math.nan for n in numbers if found[n] is None}
    return Verdict(**{**found, **missing, "accepted": ends})
