"""A study: measurements over seeds, claims, and their verdicts."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from typing import ClassVar

from experiments.harness.claimed import ClaimedExperiment, Settings
from experiments.harness.experiment import QUICK, STANDARD

__all__ = ["QUICK", "STANDARD", "Settings", "Study"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study(ClaimedExperiment):
    """One study of the claims of a paper."""

    kind: ClassVar[str] = "studies"

    @staticmethod
    def of_folder(
        name: str, purpose: str, options: Mapping[str, str] | None = None
    ) -> Study:
        """The study whose parts are the modules of a folder.

        Args:
          name: of the folder: ``config`` with ``SIZES``, with ``PARTS``, names of rows
            of the catalog, and with ``PAPER`` if the claims name none; ``measure`` with
            ``measure`` and, if there are options, ``prepare``; ``claims`` with
            ``claims`` and ``report``.
          purpose: see ``Experiment``.
          options: see ``Experiment``.

        Returns:
          The study.
        """
        config, measure, claims = (
            importlib.import_module(f"experiments.studies.{name}.{part}")
            for part in ("config", "measure", "claims")
        )
        more = {"prepare": measure.prepare} if options else {}
        return Study(
            name=name,
            purpose=purpose,
            sizes=config.SIZES,
            measure=measure.measure,
            claims=claims.claims,
            paper=getattr(config, "PAPER", ""),
            parts=getattr(config, "PARTS", ()),
            report=claims.report,
            options=options or {},
            **more,
        )
