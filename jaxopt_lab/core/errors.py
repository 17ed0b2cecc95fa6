"""Errors of input, in one line each."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """An argument or file cannot be used.

    The message is one line that names what was got and what is accepted. The
    command line prints it without a traceback and exits with 2; library code may
    catch it as the ``ValueError`` it is.
    """


def unknown(kind: str, name: str, choices: Iterable[str]) -> InputError:
    """An ``InputError`` for a name that is not among ``choices``.

    Args:
      kind: kind of the name, as a noun (``"method"``).
      name: the name that was given.
      choices: the names that are accepted.

    Returns:
      The error, ready to be raised. Its text offers the nearest names first and
      lists all of them where none is near.

    >>> str(unknown("method", "smm", ["sam", "sgd"]))
    "unknown method 'smm'; perhaps you meant 'sam'? (accepted: sam, sgd)"
    """
    names = sorted(choices)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = ""
    if near:
        hint = "perhaps you meant " + " or ".join(repr(n) for n in near) + "? "
    listed = ", ".join(names)
    text = f"{hint}(accepted: {listed})" if near else f"accepted: {listed}"
    return InputError(f"unknown {kind} {name!r}; {text}")
