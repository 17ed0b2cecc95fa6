"""Lazy imports of the packages of the ``data`` extra."""

from __future__ import annotations

from typing import Any

from jaxopt_lab.core import extras


def need(module: str, what: str) -> Any:
    """Import a package that may not be installed.

    Args:
      module: name of the module.
      what: the feature that needs it, as the subject of a sentence.

    Returns:
      The module.

    Raises:
      InputError: it, or something that it needs, is not installed.

    >>> need("json", "this example").dumps([1])
    '[1]'
    """
    return extras.need(module, what, "data")
