"""A study: settings of two sizes, measurements, claims and their verdicts."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.harness.command import Command
from experiments.harness.report import Report, Table, write
from experiments.harness.store import Store
from experiments.studies.verdicts import Claim, Verdict, judge

QUICK = "quick"
STANDARD = "standard"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """The numbers that every study has; a study adds its own.

    Attributes:
      seeds: number of seeds (or starts, or repetitions) that a verdict is over.
      first_seed: the first of consecutive seeds.
    """

    seeds: int
    first_seed: int = 0


class Outcome(NamedTuple):
    """Result of a run.

    Attributes:
      measured: as the study's ``measure`` gives it.
      claims: with their evidence.
      verdicts: of these claims; empty in a quick run.
    """

    measured: Any
    claims: list[Claim]
    verdicts: list[Verdict]


@dataclasses.dataclass(frozen=True)
class Study:
    """One study, from its settings to its verdicts.

    Attributes:
      name: of its folder.
      purpose: what it does and how long each size takes, for ``--help``.
      sizes: settings by name: ``"quick"``, at most a minute, which proves that it runs
        and gives no verdict; and ``"standard"``, over at least five seeds.
      measure: ``measure(settings, store, **options) -> measured``.
      claims: ``claims(measured, settings)``, the claims with their evidence.
      report: ``report(measured, settings)``, numbers, tables and figures.
      options: what can be given besides ``out``, with a text for ``--help``; the
        values reach ``prepare`` as texts.
      prepare: ``prepare(settings, **texts) -> (settings, options)``: reads the
        options before anything is measured, so that a typo ends the run at once.
    """

    name: str
    purpose: str
    sizes: Mapping[str, Any]
    measure: Callable[..., Any]
    claims: Callable[[Any, Any], Sequence[Claim]]
    report: Callable[[Any, Any], Report]
    options: Mapping[str, str] = dataclasses.field(default_factory=dict)
    prepare: Callable[..., tuple[Any, dict[str, Any]]] = lambda settings: (settings, {})

    def run(
        self,
        settings: Any,
        folder: Path,
        *,
        judged: bool = True,
        resume: bool = True,
        **texts: str,
    ) -> Outcome:
        """Measure, decide, write, print.

        Args:
          settings: one of ``sizes``, or others of the same class.
          folder: gets ``results.json``, the figures and the rows of the store; made
            if it is not there.
          judged: whether the claims get verdicts.
          resume: whether rows that a killed run left in the folder are taken over.
          **texts: values of ``options``.

        Returns:
          The outcome.

        Raises:
          InputError: data are missing, or the folder holds rows of other settings.
        """
        began = time.process_time()
        settings, given = self.prepare(settings, **texts)
        store = Store(folder, dataclasses.asdict(settings), resume=resume)
        measured = self.measure(settings, store, **given)
        claims = list(self.claims(measured, settings))
        verdicts = judge(claims) if judged else []
        report = self.report(measured, settings)
        record = {
            "study": self.name,
            "settings": dataclasses.asdict(settings),
            "processor_seconds": round(time.process_time() - began, 1),
            **report.record,
            "verdicts": verdicts,
        }
        write(report._replace(record=record), folder)
        for table in (*report.tables, claims_table(claims, verdicts)):
            table.print()
        return Outcome(measured, claims, verdicts)

    def main(self, arguments: Sequence[str] | None = None) -> int:
        """Run the command ``python -m experiments.studies.NAME``.

        Args:
          arguments: the words after the program's name; ``None``: of the process.

        Returns:
          Exit status: 0; 2 for bad input; 130 after Ctrl-C.
        """

        def run(size: str, folder: Path, **texts: str) -> None:
            quick = size == QUICK
            # A quick run proves that the present code runs: it takes nothing over.
            self.run(
                self.sizes[size], folder, judged=not quick, resume=not quick, **texts
            )

        command = Command(
            "studies", self.name, self.purpose, list(self.sizes), self.options
        )
        return command.main(run, arguments)


def claims_table(claims: Sequence[Claim], verdicts: Sequence[Verdict]) -> Table:
    """The claims with their verdicts.

    Args:
      claims: of a study.
      verdicts: theirs; empty for a quick run.

    Returns:
      The table.
    """
    headings = ("where", "claim", "mean (95 % interval)", "n", "could have shown")
    if not verdicts:
        return Table(
            f"{len(claims)} claims; a quick run gives no verdicts",
            ("where", "claim"),
            [(c.where, c.text) for c in claims],
        )
    return Table(
        "claims: Student's intervals, paired over seeds; verdicts at 5 % for all of "
        "them together (Holm)",
        (*headings, "verdict"),
        [
            (
                v.where,
                v.claim,
                v.measured,
                str(v.n) if v.n else "-",
                v.smallest_text,
                v.word,
            )
            for v in verdicts
        ],
    )
