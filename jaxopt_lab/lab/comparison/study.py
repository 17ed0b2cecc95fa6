"""The folder of a comparison: whose it is, and the files in it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.files import Closing, make_writable, reason
from jaxopt_lab.lab import run_files
from jaxopt_lab.lab.comparison.entries import Entry
from jaxopt_lab.runtime.atomic_files import write_text
from jaxopt_lab.runtime.folder_lock import FolderLock
from jaxopt_lab.runtime.run_folder import differences, text_of

STUDY = "study.json"
RESULTS = "results.json"
TIMES = "times.json"
RUNS, MEASURES, PLANS, TRIALS = "runs", "measures", "plans", "trials"


def proposed(task: str, root: Path | None = None) -> Path:
    """The next free folder of a comparison below ``runs/``.

    Args:
      task: that is compared on.
      root: where new folders go; ``runs`` by default.

    Returns:
      The path; nothing is made.
    """
    return run_files.next_free(f"compare-{task}", root)


class StudyFolder(Closing):
    """Context in which one process has the folder of a comparison.

    Args:
      path: made if it is not there.
      settings: all that decides about the results.

    Attributes:
      path: the folder.

    Raises:
      InputError: it holds another comparison, other files, a run, or another process
        has it. Nothing was changed then.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        asked = json.loads(json.dumps(dict(settings)))
        before = self._before()
        if before is not None and text_of(before) != text_of(asked):
            raise InputError(
                f"{path} holds another comparison: {differences(before, asked)}; give "
                "out= a folder of its own"
            )
        make_writable(path)
        self._lock = FolderLock(path)
        if before is None:
            self.write(asked, STUDY)

    def run(self, entry: Entry) -> Path:
        """The folder of a run."""
        return self.path / RUNS / entry.slug

    def trials(self, entry: Entry) -> Path:
        """The folder of a run's tuning."""
        return self.path / TRIALS / entry.slug

    def read(self, *names: str) -> dict[str, Any] | None:
        """A JSON file of the folder; ``None`` where there is none that can be read.

        Args:
          *names: its path below the folder.
        """
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(self.path.joinpath(*names).read_bytes())
            return found if isinstance(found, dict) else None
        return None

    def write(self, content: Mapping[str, Any], *names: str) -> None:
        """Replace a JSON file of the folder, whole or not at all.

        Args:
          content: its content, of finite numbers.
          *names: its path below the folder.

        Raises:
          InputError: it cannot be written.
        """
        path = self.path.joinpath(*names)
        text = json.dumps(dict(content), indent=1, allow_nan=False) + "\n"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot write {path}: {reason(error)}") from None
        write_text(path, text)

    def close(self) -> None:
        """Give the lock back."""
        self._lock.release()

    def _before(self) -> dict[str, Any] | None:
        """The settings of the comparison in the folder; ``None``: it is unused."""
        if not self.path.is_dir():
            return None
        found = self.read(STUDY)
        if found is None and (self.path / STUDY).exists():
            raise InputError(f"{self.path / STUDY} is damaged: it holds no comparison")
        if found is None:
            names = sorted(path.name for path in self.path.iterdir())
            if run_files.is_run(self.path):
                raise InputError(f"out={self.path} holds a run, no comparison")
            run_files.refuse_foreign(self.path, names, "comparison")
        return found
