"""Planted faults: broken parts, and what must be said of each of them."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Fault:
    """A broken part.

    Attributes:
      aim: the check for which it was made.
      words: a regular expression that the report of that check contains.
      row: the part.
      also: the other checks that must fail with it, for it cannot be caught by one
        alone.
    """

    aim: str
    words: str
    row: Any
    also: frozenset[str] = frozenset()

    @property
    def checks(self) -> frozenset[str]:
        """All checks that must fail."""
        return self.also | {self.aim}


FAULTS: dict[str, dict[str, Fault]] = {}
"""Fault by name, by kind of part."""


def plant(
    kind: str,
    name: str,
    aim: str,
    words: str,
    row: Any,
    also: set[str] | frozenset[str] = frozenset(),
) -> None:
    """Add a fault."""
    faults = FAULTS.setdefault(kind, {})
    if name in faults:
        raise ValueError(f"two faults of a {kind} are called {name}")
    faults[name] = Fault(aim, words, row, frozenset(also))
