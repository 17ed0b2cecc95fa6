"""Files that are replaced as a whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.files import reason


def write_text(path: Path, text: str) -> None:
    """Replace a text file by a new one, whole or not at all.

    Args:
      path: the file; need not exist, but its folder must.
      text: its new content.

    Raises:
      InputError: the system refused; the old file is as it was.
    """
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise InputError(f"cannot write {path}: {reason(error)}") from None


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file by a new one, whole or not at all.

    Args:
      path: the file; need not exist, but its folder must.
      content: its new content.

    Raises:
      OSError: the system refused; the old file is as it was.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)  # mkstemp leaves it to the owner alone
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
