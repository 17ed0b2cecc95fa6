"""Options from a file: the configuration of another run, or a preset of a paper."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from jaxopt_lab.core import errors
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.files import reason
from jaxopt_lab.runtime.run_folder import CONFIG

OPTIONS = ("config", "preset")
"""The options that name a file; they are of no run."""


class Preset(NamedTuple):
    """The setting of a paper, as far as its sources say it.

    Attributes:
      about: paper and setting.
      source: of its numbers.
      ours: names of the settings that no source says.
      settings: options by name.
    """

    about: str
    source: str
    ours: tuple[str, ...]
    settings: Mapping[str, Any]


def presets() -> list[str]:
    """The sorted names of the presets."""
    files = resources.files("jaxopt_lab.lab") / "presets"
    names = (path.name for path in files.iterdir())
    return sorted(n.removesuffix(".json") for n in names if n.endswith(".json"))


def preset(name: str) -> Preset:
    """The preset of a name.

    Args:
      name: its name.

    Returns:
      The preset.

    Raises:
      InputError: there is none; the message offers the nearest names.

    >>> preset("foret2021").settings["rho"]
    0.05
    """
    if name not in presets():
        raise errors.unknown("preset", name, presets())
    path = resources.files("jaxopt_lab.lab") / "presets" / f"{name}.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    return Preset(**{**found, "ours": tuple(found["ours"])})


def settings(given: dict[str, str]) -> dict[str, Any]:
    """The options of the file that a command names; its name is taken out.

    Args:
      given: options by name; ``config`` and ``preset`` are removed from it.

    Returns:
      Values by name; empty without a file.

    Raises:
      InputError: both are given, or the file cannot be read.
    """
    named = {name: given.pop(name) for name in OPTIONS if name in given}
    if len(named) > 1:
        raise InputError(
            f"config={named['config']} and preset={named['preset']} both name a file; "
            "accepted: one of them"
        )
    if "preset" in named:
        return dict(preset(named["preset"]).settings)
    return _read(named["config"]) if named else {}


def _read(place: str) -> dict[str, Any]:
    path = Path(place).expanduser()
    if path.is_dir():
        path = path / CONFIG
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"config={place}: cannot read {path}: {reason(error)}"
        ) from None
    except ValueError as error:
        raise InputError(f"config={place}: {path} is no JSON: {error}") from None
    plain = (str, int, float, list)
    if not isinstance(found, dict) or not all(
        isinstance(x, plain) for x in found.values()
    ):
        raise InputError(
            f"config={place}: {path} holds no options; accepted: one object of "
            "numbers, words and lists by name, such as a run's config.json"
        )
    return found
