"""Tables on the screen."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

_WIDTH = 220


def print_table(
    title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]
) -> None:
    """Print a table; where there is no terminal, without folding it.

    Args:
      title: stands above.
      headings: one for each column.
      rows: cells of each row.
    """
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for heading in headings:
        table.add_column(heading)
    for row in rows:
        table.add_row(*row)
    (Console() if sys.stdout.isatty() else Console(width=_WIDTH)).print(table)
