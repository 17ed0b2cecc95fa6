"""Experiments that decide claims: measurements over seeds, claims, verdicts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.harness.experiment import Experiment, Run
from experiments.harness.report import Table
from experiments.harness.verdicts import Claim, Verdict, judge


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """The numbers that every such experiment has; each adds its own.

    Attributes:
      seeds: number of seeds (or repetitions) that a verdict is over.
      first_seed: the first of consecutive seeds.
    """

    seeds: int
    first_seed: int = 0


class Outcome(NamedTuple):
    """Result of a run.

    Attributes:
      measured: as the experiment's ``measure`` gives it.
      claims: with their evidence.
      verdicts: of these claims; empty in a quick run.
    """

    measured: Any
    claims: list[Claim]
    verdicts: list[Verdict]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClaimedExperiment(Experiment):
    """One experiment, from its settings to its verdicts.

    Its sizes are ``"quick"``, which gives no verdict, and ``"standard"``, over at
    least five seeds.

    Attributes:
      claims: ``claims(measured, settings)``, the claims with their evidence, from what
        ``measure`` gives and one of ``sizes``.
      paper: source of the claims that name none.
      parts: names of the rows of the catalog that the claims are about; the pages show
        the verdicts beside them.
    """

    claims: Callable[[Any, Any], Sequence[Claim]]
    paper: str = ""
    parts: tuple[str, ...] = ()

    def run(
        self, settings: Any, folder: Path, *, quick: bool = False, **texts: str
    ) -> Outcome:
        """Measure, decide, write, print.

        Args:
          settings: one of ``sizes``, or others of the same class.
          folder: gets ``results.json``, the figures and the rows of the store; made
            if it is not there.
          quick: give no verdicts, and take no rows of an earlier run over.
          **texts: values of ``options``.

        Returns:
          The outcome.

        Raises:
          InputError: data are missing, or the folder holds rows of other settings.
        """
        run = self.measured(settings, folder, resume=not quick, **texts)
        self.check(run)
        claims = [
            claim._replace(paper=claim.paper or self.paper)
            for claim in self.claims(run.measured, run.settings)
        ]
        verdicts = [] if quick else judge(claims)
        self.finish(run, folder, verdicts=verdicts)
        claims_table(claims, verdicts).print()
        return Outcome(run.measured, claims, verdicts)

    def check(self, run: Run) -> None:
        """Refuse a report that the kind does not accept; here all are accepted."""


def claims_table(claims: Sequence[Claim], verdicts: Sequence[Verdict]) -> Table:
    """The claims with their verdicts.

    Args:
      claims: of an experiment.
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
