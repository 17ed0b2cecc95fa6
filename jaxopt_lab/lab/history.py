"""The configurations of a run, each with the step from which it holds."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import command_line
from jaxopt_lab.lab.configuration import NOTHING_OWN, Configuration, Own
from jaxopt_lab.lab.run_files import HISTORY
from jaxopt_lab.runtime.atomic_files import write_text
from jaxopt_lab.runtime.run_folder import CONFIG


def append(folder: Path, step: int, entry: Mapping[str, Any]) -> None:
    """Add an entry to ``history.jsonl``, a line for every time that training began.

    Args:
      folder: of the run.
      step: steps taken before. Entries from this step on are removed: the steps that
        were taken with them are taken again.
      entry: ``configuration`` and whatever else is to be known.

    Raises:
      InputError: the file cannot be written.
    """
    kept = [e for e in read(folder) if e["from_step"] < step]
    lines = [json.dumps(e) for e in [*kept, {"from_step": step, **entry}]]
    path = folder / HISTORY
    write_text(path, "".join(f"{line}\n" for line in lines))


def read(folder: Path) -> list[dict[str, Any]]:
    """The history of a run.

    Args:
      folder: of the run.

    Returns:
      Entries in order, each with ``from_step`` and ``configuration``; none for a run
      of an older version.
    """
    entries = []
    with contextlib.suppress(OSError):
        for line in (folder / HISTORY).read_text().splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                entry = json.loads(line)
                step, settings = entry["from_step"], dict(entry["configuration"])
                entries.append(entry | {"from_step": step, "configuration": settings})
    return entries


def settings_at(folder: Path, step: int) -> dict[str, Any] | None:
    """The configuration with which a step was taken.

    Args:
      folder: of the run.
      step: number of steps taken.

    Returns:
      The configuration; ``None`` where there is no history.
    """
    found = None
    for entry in read(folder):
        if found is None or entry["from_step"] < step:
            found = dict(entry["configuration"])
    return found


def configuration_of(
    folder: Path, step: int | None, own: Own = NOTHING_OWN
) -> Configuration:
    """The configuration with which a step was taken.

    Args:
      folder: of the run.
      step: of the checkpoint; ``None``: the newest configuration.
      own: objects of the caller instead of names.

    Returns:
      The configuration.

    Raises:
      InputError: the folder holds no run, or its configuration cannot be read.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise InputError(f"{folder} holds no run: there is no {CONFIG} in it")
    try:
        settings = json.loads(path.read_text())
    except ValueError as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    then = None if step is None else settings_at(folder, step)
    return command_line.from_settings(settings if then is None else then, own)
