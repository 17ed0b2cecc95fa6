"""Writable folders, what is closed at the end, plain words for system errors."""

from __future__ import annotations

import abc
import errno
import os
import re
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from jaxopt_lab.core.errors import InputError


class Closing(abc.ABC):
    """A context whose end closes it, also after an error.

    >>> class Door(Closing):
    ...     def close(self):
    ...         print("closed")
    >>> with Door() as door:
    ...     print("open")
    open
    closed
    """

    @abc.abstractmethod
    def close(self) -> None:
        """Give back what it holds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def make_writable(folder: Path) -> None:
    """Make a folder, with its parents, and check that files can be made in it.

    Args:
      folder: the folder; may exist.

    Raises:
      InputError: it is no folder, or cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Write a file instead of checking permissions: read-only and full file systems
        # grant them and still fail.
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0")
            file.flush()
    except OSError as error:
        raise InputError(f"cannot write into {folder}: {reason(error)}") from None


def reason(error: BaseException) -> str:
    """The cause of a file-system error, in one line.

    Args:
      error: an ``OSError``, or an error of the storage library that quotes one.

    Returns:
      Plain words where the cause is known, else the first line of the error.
    """
    text = " ".join(str(error).split())
    quoted = re.search(r"os_error_code='(\d+)'", text)
    code = int(quoted[1]) if quoted else getattr(error, "errno", None)
    if code in (errno.ENOSPC, errno.EDQUOT) or "No space left" in text:
        return "the disk is full"
    if code is not None:
        return os.strerror(code).lower()
    return text[:200] or type(error).__name__
