"""Errors of input, in one line each."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class InputError(ValueError):
    """An argument or file cannot be used.

    The message is one line that names what was got and what is accepted. The
    command line prints it without a traceback and exits with 2; library code may
    catch it as the ``ValueError`` it is.
    """


_MOST = 60
"""Names that an error lists beside the nearest ones, at most."""


def unknown(kind: str, name: str, choices: Iterable[str]) -> InputError:
    """An ``InputError`` for a name that is not among ``choices``.

    Args:
      kind: kind of the name, as a noun (``"method"``).
      name: the name that was given.
      choices: the names that are accepted.

    Returns:
      The error, ready to be raised. Its text offers the nearest names first, and lists
      all of them; of more than sixty where none is near alone.

    >>> str(unknown("method", "smm", ["sam", "sgd"]))
    "unknown method 'smm'; perhaps you meant 'sam'? (accepted: sam, sgd)"
    """
    names = sorted(choices)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = ""
    if near:
        hint = "perhaps you meant " + " or ".join(repr(n) for n in near) + "? "
    listed = ", ".join(names)
    if near and len(names) > _MOST:
        text = f"{hint}({len(names) - len(near)} other names are accepted)"
    else:
        text = f"{hint}(accepted: {listed})" if near else f"accepted: {listed}"
    return InputError(f"unknown {kind} {name!r}; {text}")


def described(value: Any) -> str:
    """A value in a few words, for messages: shape and dtype, name, type.

    Args:
      value: anything.

    Returns:
      Words without a line break.

    >>> described((1.0, {})), described(max), described("0.1"), described(None)
    ('a tuple of 2', 'the builtin_function_or_method max', "'0.1'", 'None')
    """
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"an array of shape {tuple(value.shape)}, {value.dtype}"
    if value is None or isinstance(value, str | bool | int | float | complex):
        return repr(value)
    if type(value) is tuple or isinstance(value, list | dict):
        return f"a {type(value).__name__} of {len(value)}"
    name = getattr(value, "__name__", "")
    if name and callable(value):
        return f"the {type(value).__name__} {name}"
    return f"a {type(value).__name__}"
