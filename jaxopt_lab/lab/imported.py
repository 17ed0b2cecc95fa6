"""Objects of a user's own modules, by the name ``my.module:Net``."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from jaxopt_lab.core import errors
from jaxopt_lab.core.errors import InputError


def is_path(name: str) -> bool:
    """Whether a name says where to import from: ``package.module:attribute``.

    >>> is_path("my.module:Net"), is_path("tfds:mnist2"), is_path("sam")
    (True, True, False)
    """
    module, colon, attribute = name.partition(":")
    words = [*module.split("."), *attribute.split(".")]
    return bool(colon) and all(word.isidentifier() for word in words)


def _is_own(name: str, value: Any, module: str) -> bool:
    """Whether a name of a module is no import."""
    return not name.startswith("_") and getattr(value, "__module__", "") == module


def load(option: str, name: str) -> Any:
    """The object that a name says, imported; the current folder is looked at first.

    Args:
      option: what the name was given for, for messages.
      name: ``package.module:attribute``.

    Returns:
      The object.

    Raises:
      InputError: there is no such module, it fails when it is imported, or it has no
        such attribute (with the nearest ones).

    >>> load("loss", "math:sqrt")(4.0)
    2.0
    """
    module_name, _, attribute = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or module_name
        if module_name == missing or module_name.startswith(f"{missing}."):
            raise InputError(
                f"{option}={name}: there is no module {missing} in {here} or among "
                "the installed packages"
            ) from None
        raise InputError(
            f"{option}={name}: {module_name} needs a module {missing}, which is not "
            "installed"
        ) from None
    except Exception as error:
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(
            f"{option}={name}: importing {module_name} failed: {what}"
        ) from error
    found: Any = module
    for word in attribute.split("."):
        if not hasattr(found, word):
            names = [n for n, x in vars(found).items() if _is_own(n, x, module_name)]
            raise errors.unknown(f"name in {module_name}", word, names)
        found = getattr(found, word)
    return found
