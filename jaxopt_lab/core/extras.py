"""Lazy imports of packages of an extra."""

from __future__ import annotations

import importlib
from typing import Any

from jaxopt_lab.core.errors import InputError


def need(module: str, what: str, extra: str) -> Any:
    """Import a package that may not be installed.

    Args:
      module: name of the module.
      what: the feature that needs it, as the subject of a sentence.
      extra: of the project, which has the package.

    Returns:
      The module.

    Raises:
      InputError: it, or something that it needs, is not installed.

    >>> need("json", "this example", "data").dumps([1])
    '[1]'
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            f"{what} needs the package {module} ({error}); "
            f"install it with: pip install 'jaxopt_lab[{extra}]'"
        ) from None
