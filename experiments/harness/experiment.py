"""An experiment: settings of several sizes, measurements, and their report."""

from __future__ import annotations

import abc
import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from experiments.harness.command import Command
from experiments.harness.report import Report, write
from experiments.harness.store import Store
from jaxopt_lab.runtime.folder_lock import claimed

QUICK = "quick"
STANDARD = "standard"


class Run(NamedTuple):
    """A run that was measured.

    Attributes:
      settings: with the options of the command.
      measured: as ``Experiment.measure`` gives it.
      report: as ``Experiment.report`` gives it.
      seconds: of processor time, with that of rows from an earlier run.
    """

    settings: Any
    measured: Any
    report: Report
    seconds: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment(abc.ABC):
    """Shared frame of studies and applications.

    Attributes:
      name: of its folder or module.
      purpose: what it does and how long each size takes, for ``--help``.
      sizes: settings, dataclasses, by name: ``"quick"``, at most a minute, which proves
        that it runs; and ``"standard"``.
      measure: ``measure(settings, store, **options) -> measured``: settings are one
        of ``sizes``, the store keeps rows that are measured already, so that a run
        that was stopped goes on, and the options are those that ``prepare`` has read.
      report: ``report(measured, settings)``, numbers, tables and figures.
      options: what can be given besides ``out``, with a text for ``--help``; the
        values reach ``prepare`` as texts.
      prepare: ``prepare(settings, **texts) -> (settings, options)``: reads the
        options before anything is measured, so that a typo ends the run at once.
    """

    kind: ClassVar[str]
    name: str
    purpose: str
    sizes: Mapping[str, Any]
    measure: Callable[..., Any]
    report: Callable[[Any, Any], Report]
    options: Mapping[str, str] = dataclasses.field(default_factory=dict)
    prepare: Callable[..., tuple[Any, dict[str, Any]]] = lambda settings: (settings, {})

    @abc.abstractmethod
    def run(self, settings: Any, folder: Path, *, quick: bool, **texts: str) -> Any:
        """Measure, write the results, print the tables; each kind has its own."""

    def accepted(self) -> Mapping[str, str]:
        """The names of all options of the command, with a text for ``--help``."""
        return self.options

    def measured(
        self, settings: Any, folder: Path, *, resume: bool, **texts: str
    ) -> Run:
        """Measure and report, before anything but the store's rows is written.

        Args:
          settings: one of ``sizes``, or others of the same class.
          folder: of the results; made if it is not there.
          resume: whether rows that a killed run left in the folder are taken over.
          **texts: values of ``options``.

        Returns:
          The run.

        Raises:
          InputError: data are missing, or the folder holds rows of other settings.
        """
        began = time.process_time()
        settings, given = self.prepare(settings, **texts)
        store = Store(folder, dataclasses.asdict(settings), resume=resume)
        measured = self.measure(settings, store, **given)
        report = self.report(measured, settings)
        seconds = time.process_time() - began + store.taken_over()
        return Run(settings, measured, report, seconds)

    def finish(self, run: Run, folder: Path, **record: Any) -> None:
        """Write the results and print the tables.

        Args:
          run: from ``measured``.
          folder: of the results.
          **record: further entries of ``results.json``.
        """
        about = {
            "name": self.name,
            "settings": dataclasses.asdict(run.settings),
            "processor_seconds": round(run.seconds, 1),
        }
        every = {**about, **run.report.record, **record}
        write(run.report._replace(record=every), folder)
        for table in run.report.tables:
            table.print()

    def main(self, arguments: Sequence[str] | None = None) -> int:
        """Run the command ``python -m experiments.KIND.NAME``.

        Args:
          arguments: the words after the program's name; ``None``: of the process.

        Returns:
          Exit status: 0; 2 for bad input; 130 after Ctrl-C.
        """

        def run(size: str, folder: Path, **texts: str) -> None:
            with claimed(folder):
                self.run(self.sizes[size], folder, quick=size == QUICK, **texts)

        sizes = list(self.sizes)
        command = Command(self.kind, self.name, self.purpose, sizes, self.accepted())
        return command.main(run, arguments)
