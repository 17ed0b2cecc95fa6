"""The circumstances of a run: versions, commit, host."""

from __future__ import annotations

import importlib.metadata
import platform
import socket
import subprocess
from pathlib import Path
from typing import Any

import jaxopt_lab

_PACKAGES = ("jax", "jaxlib", "optax", "flax", "numpy", "orbax-checkpoint")


def circumstances() -> dict[str, Any]:
    """Everything outside of the configuration that a run's numbers may depend on.

    Returns:
      ``versions`` of Python and of the packages, ``commit`` of the checkout that the
      package runs from (``None`` for an installed one) and ``host``.
    """
    return {"versions": versions(), "commit": commit(), "host": socket.gethostname()}


def versions() -> dict[str, str]:
    """Versions of Python, of the package, and of the packages below it.

    Returns:
      Texts by name; packages that are not installed are left out.
    """
    found = {
        "python": platform.python_version(),
        "jaxopt_lab": jaxopt_lab.__version__,
    }
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str | None:
    """The commit of the checkout that the package is imported from.

    Returns:
      Its hash, with ``-dirty`` where tracked files have changed; ``None`` where the
      package is no part of a checkout.
    """
    here = Path(jaxopt_lab.__file__).parent
    # An installed package may lie inside of the checkout of another project.
    if _git(here, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    head = _git(here, "rev-parse", "HEAD")
    if head is None:
        return None
    changed = _git(here, "status", "--porcelain", "--untracked-files=no")
    return f"{head}-dirty" if changed else head


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
