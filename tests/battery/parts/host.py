"""What is tested of kinds that run on the host: a row, its inputs and its options."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

from battery import programs
from battery.parts.common import COMMON

# Common checks that are about texts and examples, not about a traced function.
TEXTS = ("example", "docstring", "docstring_example")
OF_FUNCTIONS = tuple(name for name in COMMON if name not in TEXTS)


class HostSubject:
    """A row of a kind whose part is no traced function.

    Attributes:
      kind: the kind of the rows.
      first: name of the row some of whose checks of the full tier run in the plain one.
      row: the row.
      options: those of the row's example that are options.
      inputs: the rest of the example.
    """

    kind: ClassVar[str]
    first: ClassVar[str]

    def __init__(self, row: Any, *, apart: bool = False):
        """Args:
        row: the row.
        apart: for a few checks only; the host kinds compute nothing in advance.
        """
        del apart
        self.row = row
        given = row.inputs()
        self.options = {k: v for k, v in given.items() if k in row.options}
        self.inputs = {k: v for k, v in given.items() if k not in row.options}
        self.tally = programs.Tally()

    def make(self, *arguments: Any, **options: Any) -> Any:
        """The part with the example's options and others."""
        return self.row.make(*arguments, **{**self.options, **options})

    def documented(self) -> list[Any]:
        """The functions whose docstrings are looked at."""
        return [self.row.load()]

    def shared(self, other: Any) -> dict[str, Any]:
        """The options that another function takes too and the neutral does not set."""
        taken = set(inspect.signature(other).parameters)
        names = taken - set(self.row.reduces_to.options)
        return {k: v for k, v in self.options.items() if k in names}
