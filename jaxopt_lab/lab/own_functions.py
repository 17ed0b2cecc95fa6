"""Functions of the user's own, named on the command line as ``module:attribute``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxopt_lab.catalog.part import loaded
from jaxopt_lab.core.errors import InputError


def own_function(option: str, reference: str) -> Callable[..., Any]:
    """The function that the value of an option names.

    Modules in the working folder are found, as by ``python -m``.

    Args:
      option: name of the option, for messages.
      reference: ``module:function``.

    Returns:
      The function.

    Raises:
      InputError: there is no such module or attribute, or it cannot be called.

    >>> own_function("schedule", "math:sqrt")(4.0)
    2.0
    """
    here = str(Path.cwd())
    # A console script has the folder of its own file there instead.
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
    try:
        found = loaded(reference)
    except InputError as error:
        raise InputError(f"{option}={error}") from error
    if not callable(found):
        raise InputError(
            f"{option}={reference} is of type {type(found).__name__}; accepted: a "
            "function"
        )
    return found
