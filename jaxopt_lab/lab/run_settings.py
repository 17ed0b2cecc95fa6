"""The settings of a run, as its folder keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import command_line
from jaxopt_lab.lab.configuration import Configuration
from jaxopt_lab.lab.run_options import PRESENTATION, TOPOLOGY


def settings_of(configuration: Configuration) -> dict[str, Any]:
    """The options that tell one run from another, as ``config.json`` holds them."""
    hidden = PRESENTATION | TOPOLOGY
    return {k: v for k, v in configuration.flat().items() if k not in hidden}


def normal(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run of an older version, with the defaults of newer options."""
    try:
        return settings_of(command_line.from_settings(settings))
    except (InputError, SystemExit):
        return dict(settings)
