"""The file of a panel's results, written row by row, so that a killed run goes on."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from experiments.studies.sharpness import rows
from experiments.studies.sharpness.config import Config, Panel
from jaxopt_lab.core.errors import InputError


class PanelFile:
    """Measurements of the rows of one panel, on disk as ``FOLDER/PANEL.json``.

    The file is replaced as a whole each time a row is added: whenever a run is killed,
    it holds the rows that were finished.

    Args:
      folder: where; made if it is not there.
      panel: the panel.
      config: the size of the experiment.

    Raises:
      InputError: the file is there, and is of other settings or cannot be read.
    """

    def __init__(self, folder: Path, panel: Panel, config: Config) -> None:
        self.path = folder / f"{panel.name}.json"
        self._panel = panel
        about = {
            "panel": dataclasses.asdict(panel),
            "config": _without_panels(config),
        }
        # Through JSON, as what it is compared with.
        self._record: dict[str, Any] = json.loads(json.dumps({**about, "rows": {}}))
        if self.path.is_file():
            self._read()

    def _read(self) -> None:
        try:
            there = json.loads(self.path.read_text())
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read {self.path}: {error}") from None
        for name in ("panel", "config"):
            if there.get(name) != self._record[name]:
                raise InputError(
                    f"{self.path} holds results of other settings ({name}); accepted: "
                    "another out=FOLDER, or none of that name"
                )
        self._record = there

    def scores(self, row: rows.Row) -> dict[str, np.ndarray] | None:
        """The measurements of a row.

        Args:
          row: the method.

        Returns:
          As they were added; None where they were not, or the row was another then.
        """
        found = self._record["rows"].get(row.name)
        if found is None or found["row"] != self._about(row):
            return None
        return {name: np.array(x) for name, x in found["measures"].items()}

    def add(self, row: rows.Row, scores: dict[str, np.ndarray], seconds: float) -> None:
        """Add the measurements of a row, and write the file.

        Args:
          row: the method.
          scores: as ``evaluation.measure`` gives them.
          seconds: how long they took.
        """
        self._record["rows"][row.name] = {
            "row": self._about(row),
            "seconds": round(seconds, 1),
            "measures": {name: np.asarray(x).tolist() for name, x in scores.items()},
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_suffix(".json.part")
        beside.write_text(json.dumps(self._record) + "\n")
        os.replace(beside, self.path)

    def _about(self, row: rows.Row) -> dict[str, Any]:
        settings = [s._asdict() for s in rows.settings(row, self._panel)]
        about = {**dataclasses.asdict(row), "settings": settings}
        return json.loads(json.dumps(about))


def _without_panels(config: Config) -> dict[str, Any]:
    found = dataclasses.asdict(config)
    # What only the verdicts depend on may change between runs.
    for name in ("panels", "resamples", "confidence", "margin"):
        del found[name]
    return found
