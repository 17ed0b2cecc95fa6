"""An application: one command that leaves one table and one figure."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

from experiments.harness.experiment import Experiment


@dataclasses.dataclass(frozen=True, kw_only=True)
class Application(Experiment):
    """One application system.

    A module or folder here defines ``APPLICATION`` and runs
    ``python -m experiments.applications.NAME [quick|standard]``::

        APPLICATION = Application(
            name="noisy_labels",
            purpose="Digits with wrong labels ...",
            sizes={"quick": Settings(...), "standard": Settings(...)},
            measure=measure,
            report=report,
        )

        if __name__ == "__main__":
            sys.exit(APPLICATION.main())
    """

    kind: ClassVar[str] = "applications"

    def run(
        self, settings: Any, folder: Path, *, quick: bool = False, **texts: str
    ) -> Any:
        """Measure, write, print.

        Args:
          settings: one of ``sizes``, or others of the same class.
          folder: gets ``results.json``, the figure and the rows of the store; made if
            it is not there.
          quick: take no rows of an earlier run over.
          **texts: values of ``options``.

        Returns:
          As ``measure`` gives it.

        Raises:
          InputError: data are missing, or the folder holds rows of other settings.
          ValueError: the report has not one table and one figure.
        """
        run = self.measured(settings, folder, resume=not quick, **texts)
        tables, figures = len(run.report.tables), len(run.report.figures)
        if (tables, figures) != (1, 1):
            raise ValueError(
                f"application {self.name} has {tables} tables and {figures} figures; "
                "accepted: one of each"
            )
        self.finish(run, folder)
        return run.measured
