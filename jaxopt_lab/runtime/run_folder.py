"""Run folders, each claimed by one configuration."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.files import make_writable, reason
from jaxopt_lab.core.trees import summary
from jaxopt_lab.runtime.atomic_files import write_text

CONFIG = "config.json"


def refuse_other_config(
    folder: str | os.PathLike[str],
    config: Mapping[str, Any],
    *,
    force: bool = False,
) -> None:
    """Claim a run folder for a configuration.

    Makes the folder and writes ``config.json`` where there is none; does nothing where
    it holds the same configuration.

    Args:
      folder: the run folder.
      config: the configuration that identifies the run; whatever JSON can hold
        (tuples count as lists).
      force: go on in the folder of another configuration, whose ``config.json`` is
        then replaced.

    Raises:
      InputError: the folder was made with another configuration (the differing keys
        are named), cannot be written, or its ``config.json`` cannot be read.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     refuse_other_config(folder + "/a", {"rho": 0.1, "seed": 0})
    ...     try:
    ...         refuse_other_config(folder + "/a", {"rho": 0.2, "seed": 0})
    ...     except InputError as error:
    ...         str(error).removeprefix(folder)
    '/a was made with another configuration: rho was 0.1, now 0.2'
    """
    folder = Path(folder)
    make_writable(folder)
    path = folder / CONFIG
    try:
        # Sorted, so that two runs of one configuration have equal files.
        text = json.dumps(dict(config), indent=2, sort_keys=True) + "\n"
    except (TypeError, ValueError) as error:
        raise InputError(f"a configuration holds what JSON can: {error}") from None
    asked = json.loads(text)
    before = read_config(folder, force=force)
    # NaN differs from itself; as text it does not.
    if before is not None and text_of(before) == text_of(asked):
        return
    if before is not None and not force:
        lines = differences(before, asked)
        raise InputError(f"{folder} was made with another configuration: {lines}")
    write_text(path, text)


def read_config(folder: Path, *, force: bool) -> dict[str, Any] | None:
    """The configuration in a folder.

    Args:
      folder: the run folder.
      force: a damaged file counts as none.

    Returns:
      The configuration; ``None`` where there is none.

    Raises:
      InputError: the file cannot be read, or is damaged.
    """
    path = folder / CONFIG
    try:
        before = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"cannot read {path}: {reason(error)}") from None
    except ValueError:
        before = None
    if not isinstance(before, dict) and not force:
        raise InputError(f"{path} is damaged: it holds no configuration")
    return before if isinstance(before, dict) else None


def differences(before: dict[str, Any], asked: dict[str, Any]) -> str:
    """The differences of two configurations, in one line.

    Args:
      before: as JSON holds it.
      asked: likewise.

    Returns:
      The differing names with both values; at most eight.
    """
    lines = []
    for name in sorted(before.keys() | asked.keys()):
        if name not in before:
            lines.append(f"{name} was not given, now {text_of(asked[name])}")
        elif name not in asked:
            lines.append(f"{name} was {text_of(before[name])}, now not given")
        elif text_of(before[name]) != text_of(asked[name]):
            lines.append(
                f"{name} was {text_of(before[name])}, now {text_of(asked[name])}"
            )
    return summary(lines, 8)


def text_of(value: Any) -> str:
    """A value as JSON: NaN differs from itself, its text does not."""
    return json.dumps(value, sort_keys=True)
