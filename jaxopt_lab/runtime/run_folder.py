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
from jaxopt_lab.runtime.metrics import write_atomically

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
    before = _read(path, force)
    # NaN differs from itself; as text it does not.
    if before is not None and _text(before) == _text(asked):
        return
    if before is not None and not force:
        lines = _differences(before, asked)
        raise InputError(f"{folder} was made with another configuration: {lines}")
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise InputError(f"cannot write {path}: {reason(error)}") from None


def _read(path: Path, force: bool) -> dict[str, Any] | None:
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


def _differences(before: dict[str, Any], asked: dict[str, Any]) -> str:
    lines = []
    for name in sorted(before.keys() | asked.keys()):
        if name not in before:
            lines.append(f"{name} was not given, now {_text(asked[name])}")
        elif name not in asked:
            lines.append(f"{name} was {_text(before[name])}, now not given")
        elif _text(before[name]) != _text(asked[name]):
            lines.append(f"{name} was {_text(before[name])}, now {_text(asked[name])}")
    return summary(lines, 8)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
