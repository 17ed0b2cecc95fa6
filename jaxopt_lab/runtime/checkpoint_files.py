"""Files of a checkpoint folder: description, checksums, replacement, cleaning."""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import shutil
import sys
import traceback
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from jaxopt_lab.core.files import reason
from jaxopt_lab.runtime.checkpoint_tree import LeafInfo

ABOUT = "about.json"
_TEMPORARY = ".orbax-checkpoint-tmp"
_REPLACED = ".replaced"
_UNREADABLE = ".unreadable"
_BLOCK = 1 << 20


class UnreadableError(Exception):
    """The files of a checkpoint are not those that were written; the text says why."""


class About(NamedTuple):
    """Description of a checkpoint, stored beside its arrays.

    Attributes:
      leaves: shape and type of every leaf, by path.
      data: the position in the data, as it was given to ``save``.
      metrics: the metrics given to ``save``.
      files: size in bytes and CRC-32 of every file of the arrays.
    """

    leaves: dict[str, LeafInfo]
    data: dict[str, Any]
    metrics: dict[str, float]
    files: dict[str, tuple[int, int]]


def write_about(folder: Path, about: About) -> None:
    """Write ``about.json`` with the sizes and checksums of the files beside it.

    Args:
      folder: folder of one checkpoint, its arrays complete.
      about: the description; its ``files`` are replaced.

    Cost: reads every file once.
    """
    files = {}
    for path in sorted(folder.rglob("*")):
        # Files of the folder itself are metadata that the storage library may still
        # change; those below hold the arrays.
        if path.is_file() and path.parent != folder:
            files[path.relative_to(folder).as_posix()] = _checksum(path)
    body = json.dumps(about._replace(files=files)._asdict(), sort_keys=True)
    text = json.dumps({"crc": zlib.crc32(body.encode()), "body": json.loads(body)})
    (folder / ABOUT).write_text(text + "\n")


def read_about(folder: Path) -> About:
    """Read ``about.json``.

    Args:
      folder: folder of one checkpoint.

    Returns:
      The description.

    Raises:
      UnreadableError: it is missing or not as it was written.
    """
    try:
        written = json.loads((folder / ABOUT).read_text())
        body = written["body"]
        if zlib.crc32(json.dumps(body, sort_keys=True).encode()) != written["crc"]:
            raise UnreadableError(f"{ABOUT} is garbled")
        leaves = {k: LeafInfo(tuple(v[0]), v[1]) for k, v in body["leaves"].items()}
        files = {k: (int(v[0]), int(v[1])) for k, v in body["files"].items()}
        return About(leaves, body["data"], body["metrics"], files)
    except FileNotFoundError:
        raise UnreadableError(f"{ABOUT} is missing") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        raise UnreadableError(f"{ABOUT} is garbled") from None


def verify(folder: Path, about: About) -> None:
    """Check that the files are those that were written.

    Args:
      folder: folder of one checkpoint.
      about: its description.

    Raises:
      UnreadableError: a file is missing, cut short or changed.

    Cost: reads every file once.
    """
    for name, (size, crc) in about.files.items():
        path = folder / name
        try:
            if path.stat().st_size != size:
                raise UnreadableError(
                    f"{name} has {path.stat().st_size} bytes instead of {size}"
                )
            if _checksum(path)[1] != crc:
                raise UnreadableError(f"the content of {name} has changed")
        except OSError as error:
            raise UnreadableError(f"{name}: {reason(error)}") from None


def _checksum(path: Path) -> tuple[int, int]:
    size = crc = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            size, crc = size + len(block), zlib.crc32(block, crc)
    return size, crc


def complete_steps(folder: Path) -> list[int]:
    """The steps whose checkpoints were finished, oldest first.

    Args:
      folder: folder of checkpoints.

    Returns:
      Sorted steps. An unfinished save has another name until it is complete.
    """
    with contextlib.suppress(OSError):
        return sorted(int(p.name) for p in folder.iterdir() if p.name.isdecimal())
    return []


def unfinished(folder: Path, step: int) -> Path:
    """The folder in which a running save writes.

    Args:
      folder: folder of checkpoints.
      step: the step that is being saved.

    Returns:
      Its path.
    """
    return next(folder.glob(f"{step}{_TEMPORARY}*"))


def put_aside(folder: Path, step: int, *, unreadable: bool) -> None:
    """Rename a checkpoint so that it no longer counts.

    Args:
      folder: folder of checkpoints.
      step: step of the checkpoint.
      unreadable: it stays aside for good; otherwise it is kept until the save that
        replaces it is complete (``clean``).
    """
    aside = folder / f"{step}{_UNREADABLE if unreadable else _REPLACED}"
    shutil.rmtree(aside, ignore_errors=True)
    (folder / str(step)).rename(aside)


def clean(folder: Path) -> None:
    """Remove the remains of aborted saves, and restore what they were to replace.

    Args:
      folder: folder of checkpoints, with no save running.
    """
    for path in list(folder.iterdir()):
        step = path.name.removesuffix(_REPLACED)
        if _TEMPORARY in path.name:
            shutil.rmtree(path, ignore_errors=True)
        elif step != path.name and step.isdecimal():
            if (folder / step).exists():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.rename(folder / step)


class _NotFromOrbax(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        wanted = logging.getLogger("absl").isEnabledFor(logging.INFO)
        return wanted or f"{os.sep}orbax{os.sep}" not in record.pathname


def quiet_orbax() -> None:
    """Keep orbax's records out of the log, unless absl's verbosity is info or more.

    A failed save is reported once, by an error of ours; orbax additionally logs a
    traceback for each of its threads. Only the logger ``absl`` gets a filter.
    """
    logger = logging.getLogger("absl")
    if not any(isinstance(f, _NotFromOrbax) for f in logger.filters):
        logger.addFilter(_NotFromOrbax())


@contextlib.contextmanager
def quiet_failed_writes() -> Any:
    """Drop the tracebacks that the other writes of a failed save still cause.

    When one write fails, orbax closes the event loop under the rest; each of these
    then reports a closed loop on standard error from a foreign thread.
    """
    previous: Callable[[Any], Any] = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        closed = str(unraisable.exc_value) == "Event loop is closed"
        if not (closed and unraisable.object is None):
            previous(unraisable)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        if sys.unraisablehook is hook:
            sys.unraisablehook = previous


def drop_failed_writes(error: BaseException) -> None:
    """Release the other writes of a failed save silently.

    Writes never begun, and those whose errors were never retrieved, are reported when
    they are garbage-collected, at any later time.

    Args:
      error: exception of the save; its frames are cleared.
    """
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        traceback.clear_frames(cause.__traceback__)
        cause = cause.__cause__ or cause.__context__
    logger = logging.getLogger("asyncio")
    logger.addFilter(_taken)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "coroutine .* was never awaited")
            gc.collect()
    finally:
        logger.removeFilter(_taken)


def _taken(record: logging.LogRecord) -> bool:
    return "never retrieved" not in record.getMessage()
