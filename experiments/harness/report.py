"""Tables, figures, arrays and numbers of a run, on the screen and in its folder."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDTH = 220
_DPI = 110


class Table(NamedTuple):
    """A table of texts.

    Attributes:
      title: stands above.
      headings: one for each column.
      rows: cells of each row.
    """

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]

    def print(self) -> None:
        """Print it; where there is no terminal, without folding it."""
        from rich.console import Console
        from rich.table import Table as RichTable

        table = RichTable()
        for heading in self.headings:
            table.add_column(heading)
        for row in self.rows:
            table.add_row(*row)
        console = Console() if sys.stdout.isatty() else Console(width=_WIDTH)
        # Not the table's own title, which is folded to the width of the table.
        console.print(f"\n{self.title}", markup=False, highlight=False, soft_wrap=True)
        console.print(table)


class Report(NamedTuple):
    """Everything that a run leaves.

    Attributes:
      record: numbers by name, for ``results.json``; arrays and named tuples allowed.
      tables: printed at the end.
      figures: saved as ``NAME.png``.
      arrays: saved as ``NAME.npz``, arrays by name.
    """

    record: Mapping[str, Any]
    tables: Sequence[Table] = ()
    figures: Mapping[str, Figure] = {}
    arrays: Mapping[str, Mapping[str, np.ndarray]] = {}


def plain(tree: Any) -> Any:
    """A tree that ``json.dumps`` takes.

    Args:
      tree: dicts, sequences, named tuples, dataclasses, NumPy or jax arrays, numbers
        and texts.

    Returns:
      The same with dicts for named tuples and dataclasses, lists for arrays.

    >>> plain({"a": np.arange(2), "b": Table("t", (), ())})
    {'a': [0, 1], 'b': {'title': 't', 'headings': [], 'rows': []}}
    """
    if hasattr(tree, "_asdict"):
        tree = tree._asdict()
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        tree = dataclasses.asdict(tree)
    if isinstance(tree, Mapping):
        return {str(name): plain(value) for name, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [plain(value) for value in tree]
    to_list = getattr(tree, "tolist", None)
    return tree if to_list is None else to_list()


def write(report: Report, folder: Path) -> None:
    """Write ``results.json``, the figures and the arrays.

    Args:
      report: what to write.
      folder: made if it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(plain(report.record), indent=1)
    (folder / "results.json").write_text(text + "\n")
    for name, figure in report.figures.items():
        figure.savefig(folder / f"{name}.png", dpi=_DPI)
    for name, arrays in report.arrays.items():
        np.savez(folder / f"{name}.npz", **arrays)  # type: ignore[arg-type]
