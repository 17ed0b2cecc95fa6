"""Exclusive use of a folder, which ends with the process that has it."""

from __future__ import annotations

import contextlib
import errno
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.files import Closing, reason

LOCK = ".lock"
"""Name of the lock's file on file systems that cannot lock a folder (NFS)."""

_BUSY = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)

# Locks of this process: by (device, inode) of the folder the descriptor and the number
# of holders. A second descriptor of the same process would be refused.
_held: dict[tuple[int, int], list[Any]] = {}


class FolderLock(Closing):
    """Context in which no other process may lock the same folder.

    The system's advisory lock (``flock``) of the folder itself: it leaves no file, and
    is released however the process ends. Objects of one process share it. Where the
    file system has no such locks, a warning says so and nothing is locked.

    Args:
      folder: the folder; it must exist.

    Raises:
      InputError: another process has the lock, or the folder cannot be read.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, FolderLock(folder):
    ...     os.listdir(folder)
    []
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        path = Path(folder).absolute()
        self._key = _identity(path)
        self.shared = self._key in _held
        """Whether another object of this process had the lock already."""
        if not self.shared:
            _held[self._key] = [_acquire(path), 0]
        self._entry = _held[self._key]
        self._entry[1] += 1
        self._released = False

    def close(self) -> None:
        """Give the lock back, as ``release`` does."""
        self.release()

    def release(self) -> None:
        """Give the lock back; doing it twice has no effect."""
        if self._released:
            return
        self._released = True
        self._entry[1] -= 1
        # A forked child has no lock: its table is empty.
        if self._entry[1] == 0 and _held.pop(self._key, None) is not None:
            _close(self._entry[0])

    def __del__(self) -> None:
        if hasattr(self, "_released"):
            self.release()


@contextlib.contextmanager
def claimed(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Context in which one process has a folder, which is made if it is not there.

    Args:
      folder: the folder. Made here and left empty, it is removed again.

    Yields:
      Nothing.

    Raises:
      InputError: another process has it, or it cannot be made.
    """
    path = Path(folder).absolute()
    made = [p for p in (path, *path.parents) if not p.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write into {path}: {reason(error)}") from None
    try:
        with FolderLock(path):
            yield
    finally:
        for each in made:
            with contextlib.suppress(OSError):  # not empty
                each.rmdir()


def _identity(folder: Path) -> tuple[int, int]:
    try:
        found = folder.stat()
    except OSError as error:
        raise InputError(f"cannot use {folder}: {reason(error)}") from None
    return found.st_dev, found.st_ino


def _acquire(folder: Path) -> int | None:
    """The locked descriptor; ``None`` where the system has no locks."""
    try:
        import fcntl
    except ImportError:
        return None
    handle = None
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _BUSY:
                raise
            # NFS locks files that are open for writing, and no folders.
            os.close(handle)
            handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return handle
    except OSError as error:
        _close(handle)
        if error.errno in _BUSY:
            raise InputError(
                f"{folder} is in use by another process; wait for its end, or give "
                "another folder"
            ) from None
        warnings.warn(
            f"{folder} cannot be locked ({reason(error)}): see to it that no other "
            "process uses it",
            stacklevel=4,
        )
        return None


def _close(handle: int | None) -> None:
    if handle is not None:
        with contextlib.suppress(OSError):
            os.close(handle)


def _forget() -> None:
    """Close the descriptors of a forked child, which would keep the parent's locks."""
    for handle, _ in _held.values():
        _close(handle)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
