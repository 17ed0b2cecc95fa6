"""A row of a diagnostic where the truth is known."""

from __future__ import annotations

import functools
from typing import Any

from battery.diagnostic.cases import CASES
from battery.parts.host import HostSubject

SEEDS = 5


class DiagnosticSubject(HostSubject):
    """A diagnostic on the case of its row."""

    kind = "diagnostic"
    first = "hutchinson_trace"

    def __init__(self, row: Any, *, apart: bool = False):
        super().__init__(row, apart=apart)
        self.case = getattr(row, "case", None) or CASES[row.name]

    def measure(self, samples: int, seed: int = 0) -> Any:
        """One measurement."""
        return self.case.measure(self.row.load(), samples, seed)

    @functools.cached_property
    def few(self) -> list[Any]:
        """Rough measurements, one a seed."""
        return [self.measure(self.case.few, seed) for seed in range(SEEDS)]

    @functools.cached_property
    def many(self) -> list[Any]:
        """Finer ones."""
        return [self.measure(self.case.many, seed) for seed in range(SEEDS)]
