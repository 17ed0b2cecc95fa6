"""Measurements on disk, written row by row, from which a killed run resumes."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.harness.report import plain
from jaxopt_lab.core.errors import InputError

Arrays = Mapping[str, Any]


class Store:
    """The measurements of a run, a file for each group of rows.

    Args:
      folder: made with the first file.
      settings: everything that the measurements depend on; a tree for ``plain``.
      resume: whether rows of an earlier run with equal settings are taken over.
    """

    def __init__(self, folder: Path, settings: Any, *, resume: bool = True) -> None:
        self.folder = folder
        self._settings = settings
        self._resume = resume
        self._groups: dict[tuple[Path, str], Rows] = {}

    def group(self, name: str, settings: Any = None) -> Rows:
        """The rows of ``FOLDER/NAME.json``.

        Args:
          name: of the file.
          settings: everything that these rows depend on; ``None``: all settings.

        Returns:
          Its rows.

        Raises:
          InputError: the file holds rows of other settings, or cannot be read.
        """
        path = self.folder / f"{name}.json"
        chosen = self._settings if settings is None else settings
        # Opened once: rows of this run are none of an earlier one.
        key = path, json.dumps(plain(chosen))
        if key not in self._groups:
            self._groups[key] = Rows(path, chosen, resume=self._resume)
        return self._groups[key]

    def taken_over(self) -> float:
        """Processor seconds of the rows that were taken over from an earlier run."""
        return sum(rows.taken_over for rows in self._groups.values())


class Rows:
    """Rows of measurements in one file, ``{"settings": ..., "rows": {...}}``.

    The file is replaced as a whole each time a row is added: whenever a run is killed,
    it holds the rows that were finished.

    Attributes:
      path: of the file.
      taken_over: processor seconds of the rows that an earlier run measured.

    Args:
      path: of the file.
      settings: everything that all rows depend on.
      resume: whether rows that are there are taken over.

    Raises:
      InputError: the file holds rows of other settings, or cannot be read.
    """

    def __init__(self, path: Path, settings: Any, *, resume: bool = True) -> None:
        self.path = path
        # Through JSON, so that it compares equal to what is read back.
        self._settings = json.loads(json.dumps(plain(settings)))
        self._rows: dict[str, Any] = {}
        self.taken_over = 0.0
        self._seen: set[str] = set()
        if resume and path.is_file():
            self._read()

    def _read(self) -> None:
        try:
            found = json.loads(self.path.read_text())
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read {self.path}: {error}") from None
        if found.get("settings") != self._settings:
            raise InputError(
                f"{self.path} holds results of other settings; accepted: another "
                "out=FOLDER, or none of that name"
            )
        self._rows = found["rows"]

    def get(self, name: str, about: Any = None) -> dict[str, np.ndarray] | None:
        """The measurements of a row.

        Args:
          name: of the row.
          about: what the row alone depends on.

        Returns:
          The arrays; ``None`` where there are none, or ``about`` was another.
        """
        found = self._rows.get(name)
        if found is None or found["about"] != json.loads(json.dumps(plain(about))):
            return None
        return {key: np.array(value) for key, value in found["measures"].items()}

    def add(
        self,
        name: str,
        arrays: Arrays,
        about: Any = None,
        seconds: float = 0.0,
        processor: float = 0.0,
    ) -> None:
        """Add the measurements of a row, and write the file.

        Args:
          name: of the row.
          arrays: by name.
          about: what the row alone depends on.
          seconds: the time that they took.
          processor: likewise, of processor time.
        """
        self._rows[name] = {
            "about": json.loads(json.dumps(plain(about))),
            "seconds": round(seconds, 1),
            "processor": round(processor, 1),
            "measures": {key: np.asarray(x).tolist() for key, x in arrays.items()},
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".json.part")
        record = {"settings": self._settings, "rows": self._rows}
        part.write_text(json.dumps(record) + "\n")
        os.replace(part, self.path)

    def measured(
        self, name: str, compute: Callable[[], Arrays], about: Any = None
    ) -> dict[str, np.ndarray]:
        """The measurements of a row, computed unless they are in the file.

        Args:
          name: of the row; printed with its seconds once it is computed.
          compute: gives the arrays by name.
          about: what the row alone depends on.

        Returns:
          The arrays.
        """
        found = self.get(name, about)
        if found is not None and name not in self._seen:
            self.taken_over += self._rows[name].get("processor", 0.0)
        self._seen.add(name)
        if found is None:
            began, used = time.perf_counter(), time.process_time()
            arrays = compute()
            seconds = time.perf_counter() - began
            self.add(name, arrays, about, seconds, time.process_time() - used)
            print(f"{self.path.stem}, {name}: {seconds:.0f} s", flush=True)
            found = self.get(name, about)
            assert found is not None
        return found
