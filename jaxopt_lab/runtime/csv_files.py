"""Run records as tables of comma-separated values, one file for each kind."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.files import make_writable, reason
from jaxopt_lab.runtime.atomic_files import write_text
from jaxopt_lab.runtime.metrics import columns


class CsvFiles:
    """Records as rows of ``train.csv``, ``test.csv``: a file for each kind.

    The first column is the step; an array of one number for each seed becomes a column
    for each, ``loss/seed0``. A name that comes later adds a column, empty in the rows
    before. Each row is flushed to the system at once.

    Args:
      folder: folder of the files.
      resume_at: remove the rows of later steps, as ``JsonLines`` does.

    Raises:
      InputError: a file cannot be written, or is no table of a run.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sink = CsvFiles(folder)
    ...     sink.write(1, {"kind": "train", "loss": 0.5})
    ...     sink.close()
    ...     print((Path(folder) / "train.csv").read_text(), end="")
    step,loss
    1,0.5
    """

    def __init__(
        self, folder: str | os.PathLike[str], *, resume_at: int | None = None
    ) -> None:
        self._folder = Path(folder)
        self._names: dict[str, list[str]] = {}
        make_writable(self._folder)
        for path in sorted(self._folder.glob("*.csv")):
            names, rows = self._read(path)
            kept = [r for r in rows if resume_at is None or int(r["step"]) <= resume_at]
            self._names[path.stem] = names
            self._replace(path, names, kept)

    def write(self, step: int, record: Mapping[str, Any]) -> None:
        """Append a row and flush it.

        Args:
          step: the step.
          record: what to write.

        Raises:
          InputError: the disk is full, or the file is gone.
        """
        kind = str(record.get("kind", "records"))
        found = columns({n: x for n, x in record.items() if n != "kind"}, text=True)
        row = {"step": step, **found}
        path = self._folder / f"{kind}.csv"
        names = self._names.get(kind, [])
        new = [name for name in row if name not in names]
        try:
            if new:
                rows = self._read(path)[1] if path.exists() else []
                names = self._names[kind] = [*names, *new]
                self._replace(path, names, [*rows, row])
                return
            with path.open("a", encoding="utf-8", newline="") as file:
                _writer(file, names).writerow(row)
        except OSError as error:
            raise InputError(f"cannot write {path}: {reason(error)}") from None

    def close(self) -> None:
        """Nothing is left open between two records."""

    def _read(self, path: Path) -> tuple[list[str], list[dict[str, Any]]]:
        text = path.read_text(encoding="utf-8")
        # A last row that was only half written has no end.
        whole = text[: text.rfind("\n") + 1]
        reader = csv.DictReader(io.StringIO(whole))
        names, rows = list(reader.fieldnames or []), list(reader)
        if names and not (
            names[0] == "step" and all((r["step"] or "").isdecimal() for r in rows)
        ):
            raise InputError(f"{path} is no table of a run; move it away")
        return names, rows

    def _replace(self, path: Path, names: list[str], rows: list[Any]) -> None:
        text = io.StringIO()
        writer = _writer(text, names)
        writer.writeheader()
        writer.writerows(rows)
        write_text(path, text.getvalue())


def _writer(file: Any, names: list[str]) -> Any:
    return csv.DictWriter(file, names, restval="", lineterminator="\n")
