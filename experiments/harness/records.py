"""Standard results of a kind of experiments, as the repository keeps them."""

from __future__ import annotations

import importlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.harness.claimed import ClaimedExperiment
from experiments.harness.report import plain
from experiments.harness.verdicts import Verdict
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab.provenance import commit, versions
from jaxopt_lab.runtime.atomic_files import write_text

_RESULTS = "results"
_INF = float("inf")


class Record(NamedTuple):
    """A standard run of an experiment.

    Attributes:
      name: of the experiment.
      command: that made it.
      settings: its numbers.
      processor_seconds: of the run.
      versions: of Python and the packages.
      commit: of the checkout.
      verdicts: of all its claims.
      parts: names of the rows of the catalog that they are about.
    """

    name: str
    command: str
    settings: Mapping[str, Any]
    processor_seconds: float
    versions: Mapping[str, str]
    commit: str | None
    verdicts: tuple[Verdict, ...]
    parts: tuple[str, ...] = ()


class Collection(NamedTuple):
    """All experiments of a kind.

    An experiment is a module that assigns the constant, or a folder whose
    ``__main__`` does.

    Attributes:
      kind: ``"studies"``, package of ``experiments``.
      one: ``"study"``, in messages.
      folder: of the package.
      page: file of the verdicts.
      introduction: first lines of this page.
    """

    kind: str
    one: str
    folder: Path
    page: Path
    introduction: str

    @property
    def constant(self) -> str:
        """The name of the experiment in its module."""
        return self.one.upper()

    def names(self) -> list[str]:
        """The sorted names of the experiments."""
        folders = {path.parent.name for path in self.folder.glob("*/__main__.py")}
        made = re.compile(rf"^{self.constant}\b[^=\n]*=", re.MULTILINE)
        modules = {
            path.stem
            for path in self.folder.glob("*.py")
            if made.search(path.read_text())
        }
        return sorted(folders | modules)

    def experiment(self, name: str) -> ClaimedExperiment:
        """The experiment of a name.

        Args:
          name: of its module or folder.

        Returns:
          The experiment.
        """
        module = f"experiments.{self.kind}.{name}"
        if (self.folder / name).is_dir():
            module += ".__main__"
        return getattr(importlib.import_module(module), self.constant)

    def path(self, name: str) -> Path:
        """The file of the kept run: in a folder's own results, or in those of all."""
        if (self.folder / name).is_dir():
            return self.folder / name / _RESULTS / "standard.json"
        return self.folder / _RESULTS / f"{name}.json"

    def keep(
        self, name: str, found: Path, command: str, parts: Sequence[str] = ()
    ) -> Path:
        """Keep the verdicts of a standard run.

        Args:
          name: of the experiment.
          found: folder of the run's ``results.json``.
          command: that made it.
          parts: names of the rows of the catalog that the verdicts are about.

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
            "parts": list(parts),
            "verdicts": results["verdicts"],
        }
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(_finite(plain(record)), indent=1, allow_nan=False) + "\n"
        write_text(path, text)
        return path

    def read(self, name: str) -> Record | None:
        """The standard run of an experiment.

        Args:
          name: of the experiment.

        Returns:
          The record; ``None`` where none is kept.
        """
        path = self.path(name)
        if not path.is_file():
            return None
        found = json.loads(path.read_text())
        verdicts = tuple(map(_verdict, found["verdicts"]))
        parts = tuple(found.get("parts", ()))
        return Record(**{**found, "verdicts": verdicts, "parts": parts})

    def kept(self) -> dict[str, Record | None]:
        """The standard runs of all experiments, by name."""
        return {name: self.read(name) for name in self.names()}


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
