"""An application: one command that leaves one table, one figure and its verdicts."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import jax

from experiments.harness.claimed import ClaimedExperiment, Outcome, Settings
from experiments.harness.experiment import QUICK, STANDARD, Run
from jaxopt_lab.core.errors import InputError

__all__ = ["QUICK", "STANDARD", "Application", "Settings", "compiled_quickly"]

_COUNTS = {
    "seeds": "number of seeds; verdicts need five",
    "steps": "training steps, or sweeps of a sampler, of each run",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Application(ClaimedExperiment):
    """One application system.

    A module or folder here defines ``APPLICATION`` and runs
    ``python -m experiments.applications.NAME [quick|standard] [seeds=] [steps=]``::

        APPLICATION = Application(
            name="noisy_labels",
            purpose="Digits with wrong labels ...",
            sizes={"quick": Config(seeds=2), "standard": Config(seeds=5)},
            measure=measure,
            claims=claims,
            report=report,
            paper="Someone et al. 2020, arXiv:...",
        )

        if __name__ == "__main__":
            sys.exit(APPLICATION.main())

    The first sentence of ``purpose`` stands in the list of all applications. Settings
    that have ``seeds`` or ``steps`` take them on the command line.
    """

    kind: ClassVar[str] = "applications"

    def accepted(self) -> Mapping[str, str]:
        """The options with the counts that the settings have; see ``Experiment``."""
        names = {field.name for field in dataclasses.fields(self.sizes[QUICK])}
        counts = {name: text for name, text in _COUNTS.items() if name in names}
        return {**counts, **self.options}

    def run(
        self, settings: Any, folder: Path, *, quick: bool = False, **texts: str
    ) -> Outcome:
        """See ``ClaimedExperiment``; programs of a quick run are compiled quickly."""
        with compiled_quickly() if quick else contextlib.nullcontext():
            return super().run(settings, folder, quick=quick, **texts)

    def measured(
        self, settings: Any, folder: Path, *, resume: bool, **texts: str
    ) -> Run:
        """See ``Experiment``; replaces the counts that are given."""
        given = {n: _count(n, texts.pop(n)) for n in _COUNTS if n in texts}
        chosen = dataclasses.replace(settings, **given)
        return super().measured(chosen, folder, resume=resume, **texts)

    def check(self, run: Run) -> None:
        """Raise ``ValueError`` unless there is one table and one figure."""
        tables, figures = len(run.report.tables), len(run.report.figures)
        if (tables, figures) != (1, 1):
            raise ValueError(
                f"application {self.name} has {tables} tables and {figures} figures; "
                "accepted: one of each"
            )


@contextlib.contextmanager
def compiled_quickly() -> Iterator[None]:
    """A context without most optimizations: they take longer than a few steps do."""
    name = "jax_disable_most_optimizations"
    before = jax.config.read(name)
    jax.config.update(name, True)
    try:
        yield
    finally:
        jax.config.update(name, before)


def _count(name: str, text: str) -> int:
    try:
        count = int(text)
    except ValueError:
        count = 0
    if count < 1:
        raise InputError(f"{name}={text}; accepted: a whole number from 1")
    return count
