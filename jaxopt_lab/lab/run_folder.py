"""The folder of a run: claimed by one process, and changed from the first step on."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.files import Closing, make_writable, reason
from jaxopt_lab.lab import history, run_files
from jaxopt_lab.lab.run_options import RunOptions
from jaxopt_lab.runtime.atomic_files import write_text
from jaxopt_lab.runtime.folder_lock import FolderLock
from jaxopt_lab.runtime.run_folder import CONFIG, differences, read_config, text_of


def proposed(run: RunOptions, root: Path | None = None) -> Path:
    """The folder of a run: ``out``, or the next free one below ``runs/``.

    Args:
      run: its options.
      root: where new folders go; ``runs`` by default.

    Returns:
      The path; nothing is made.
    """
    if run.out:
        return Path(run.out).expanduser()
    return run_files.next_free(f"{run.task}-{run.model}-{run.method}", root)


def check(
    folder: Path, settings: Mapping[str, Any], existing: str, normal: Any = dict
) -> bool:
    """Refuse a folder in which a run may not be; writes nothing.

    Args:
      folder: the folder; need not exist.
      settings: the configuration of the run.
      existing: as ``RunOptions.existing``.
      normal: ``normal(settings)`` completes the settings of an older version.

    Returns:
      Whether the folder's configuration is another one, which ``existing`` allows.

    Raises:
      InputError: the folder holds files that are no run, or another configuration.
    """
    if not folder.is_dir():
        return False
    if not run_files.is_run(folder):
        if (folder / CONFIG).exists():
            read_config(folder, force=False)  # a damaged one is called so
        entries = sorted(folder.iterdir())
        names = [path.name for path in entries if not run_files.is_unused(path)]
        run_files.refuse_foreign(folder, names, "run")
        return False
    before = read_config(folder, force=False)
    asked = json.loads(json.dumps(dict(settings)))
    if before is not None and before.keys() != asked.keys():
        before = json.loads(json.dumps(normal(before)))
    if before is None or text_of(before) == text_of(asked):
        return False
    if existing == "resume":
        raise InputError(
            f"{folder} was made with another configuration: "
            f"{differences(before, asked)}; existing=continue goes on with this one"
        )
    return True


class RunFolder(Closing):
    """Context in which a process has a run's folder for itself.

    Nothing in the folder changes before ``begin``; without it, a folder that was made
    here is gone again at the end.

    Args:
      run: options of the run.
      folder: the folder; ``None``: the next free one of ``proposed``, claimed by
        making it.

    Attributes:
      path: the folder.

    Raises:
      InputError: another process has the folder, or it cannot be made.
    """

    def __init__(self, run: RunOptions, folder: Path | None) -> None:
        self._begun = False
        self._made: list[Path] = []
        self.path = self._new(run) if folder is None else self._make(folder)
        checkpoints = self.path / run_files.CHECKPOINTS
        if not checkpoints.exists():
            self._made.append(checkpoints)
        try:
            make_writable(self.path)
            self._lock = FolderLock(self.path)
        except InputError:
            self._remove_made()
            raise

    def begin(
        self,
        step: int,
        settings: Mapping[str, Any],
        entry: Mapping[str, Any],
        *,
        overwrite: bool = False,
    ) -> None:
        """Record that training goes on from a step with a configuration.

        Args:
          step: steps taken before.
          settings: the configuration.
          entry: what the history says beside it.
          overwrite: remove the files of the run that is there.

        Raises:
          InputError: a file cannot be written or removed.
        """
        self._begun = True
        if overwrite:
            run_files.remove_written(self.path)
        run_files.remove_later(self.path, step)
        history.append(self.path, step, {"configuration": dict(settings), **entry})
        self.write(CONFIG, dict(settings), sort=True)

    def write(self, name: str, content: Mapping[str, Any], sort: bool = False) -> None:
        """Replace a JSON file of the folder, whole or not at all.

        Args:
          name: of the file.
          content: its content.
          sort: sort the names, so that equal contents are equal files.

        Raises:
          InputError: it cannot be written.
        """
        text = json.dumps(dict(content), indent=2, sort_keys=sort) + "\n"
        path = self.path / name
        write_text(path, text)

    def close(self) -> None:
        """Remove a folder that was made for nothing, and give the lock back."""
        self._remove_made()
        self._lock.release()

    def _new(self, run: RunOptions) -> Path:
        while True:
            folder = proposed(run)
            self._make(folder.parent)
            try:
                folder.mkdir()
            except FileExistsError:
                continue  # another process was faster
            except OSError as error:
                raise InputError(
                    f"cannot write into {folder}: {reason(error)}"
                ) from None
            self._made.append(folder)
            return folder

    def _make(self, folder: Path) -> Path:
        missing = [p for p in (folder, *folder.parents) if not p.exists()]
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot write into {folder}: {reason(error)}") from None
        self._made += reversed(missing)
        return folder

    def _remove_made(self) -> None:
        if not self._begun:
            for folder in reversed(self._made):
                with contextlib.suppress(OSError):  # not there, or in use
                    folder.rmdir()
