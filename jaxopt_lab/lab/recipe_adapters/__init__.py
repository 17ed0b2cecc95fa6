"""Recipes that are more than one model with a training step, a file for each."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jaxopt_lab import catalog
from jaxopt_lab.catalog.schema import Recipe
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab.recipe_adapters.adapter import PLAIN, Adapter, Given, Make

if TYPE_CHECKING:
    from jaxopt_lab.lab.configuration import Configuration

__all__ = [
    "PLAIN",
    "Adapter",
    "Given",
    "Make",
    "of_configuration",
    "of_row",
    "refuse_apart",
]

_FILES: Mapping[str, str] = {
    "velocities": "flow_matching",
    "examples of noise": "gan",
    "features and maps": "podnet",
    "modules in a row": "decoupled",
    "normalizations that adapt": "osuda",
    "scores of patches": "discopatch",
}
"""Files of this folder by ``Recipe.outputs``; each has an ``ADAPTER``."""


def of_row(row: Any) -> Adapter:
    """The adapter of a recipe.

    Args:
      row: of the catalog.

    Returns:
      The adapter; the plain one where it needs none.
    """
    name = _FILES.get(row.outputs, "") if isinstance(row, Recipe) else ""
    if not name or row.needs_data:
        return PLAIN
    return importlib.import_module(f"{__name__}.{name}").ADAPTER


def refuse_apart(name: str, wanted: str) -> None:
    """Refuse a recipe whose runs cannot be set side by side.

    Args:
      name: of the recipe; one that is unknown is refused elsewhere.
      wanted: the command, for the message.

    Raises:
      InputError: it has such a recipe.
    """
    reason = of_row(catalog.of_kind("recipe").get(name)).apart
    if reason:
        raise InputError(
            f"{wanted} takes no recipe={name}: it {reason}; accepted: train recipe="
            f"{name}"
        )


def of_configuration(configuration: Configuration) -> Adapter:
    """The adapter of a run; the plain one without a recipe."""
    return of_row(configuration.rows.parts.get("recipe"))
