"""Texts of arguments: read from a docstring, and written into another."""

from __future__ import annotations

import functools
import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

_REST = re.compile(r"^( *)\*\*\w+: .*\n(?:\1  .*\n)*", re.MULTILINE)


def with_arguments(docstring: str, texts: Mapping[str, str]) -> str:
    """A docstring with the texts of inherited arguments in place of ``**options``.

    Args:
      docstring: as it stands in its function.
      texts: by name of the argument, as ``documented`` gives them.

    Returns:
      The docstring; itself where it has no ``**options``.
    """

    return _REST.sub(lambda m: argument_lines(texts, m[1]), docstring, count=1)


def argument_lines(texts: Mapping[str, str], indent: str = "  ") -> str:
    """The lines of a docstring's ``Args``.

    Args:
      texts: by name of the argument, as ``documented`` gives them.
      indent: spaces before each name.

    Returns:
      The lines, each with a line break at its end.

    >>> argument_lines({"rho": "radius."})
    '  rho: radius.\\n'
    """
    lines = (
        textwrap.fill(
            f"{name}: {text}",
            88,
            initial_indent=indent,
            subsequent_indent=indent + "  ",
            break_on_hyphens=False,
        )
        for name, text in texts.items()
    )
    return "".join(f"{line}\n" for line in lines)


_ENTRY = re.compile(r"^  (\*{0,2}\w+): (.*)$")


@functools.cache
def documented(function: Callable[..., Any]) -> Mapping[str, str]:
    """The texts of the arguments in a docstring, by name.

    Args:
      function: a function whose docstring has ``Args``, or a dataclass with
        ``Attributes``. ``takes`` has written those of the source into it.

    Returns:
      The texts, each in one line.
    """
    return argument_texts(inspect.getdoc(function) or "")


def argument_texts(docstring: str) -> dict[str, str]:
    """The texts of the arguments in a docstring, by name.

    Args:
      docstring: without the indentation of its place.

    Returns:
      The texts, each in one line.

    >>> argument_texts("Scale.\\n\\nArgs:\\n  rho: radius,\\n    in its units.")
    {'rho': 'radius, in its units.'}
    """
    found: dict[str, str] = {}
    name, inside = "", False
    for line in docstring.splitlines():
        if not line.startswith(" ") and line.strip():
            inside = line in ("Args:", "Attributes:")
            name = ""
        elif inside and (entry := _ENTRY.match(line)):
            name = entry[1].lstrip("*")
            found[name] = entry[2]
        elif inside and name and line.startswith("    "):
            found[name] += " " + line.strip()
    return found


_MARKUP = re.compile(r":math:`([^`]*)`|``([^`]*)``")
_END = re.compile(r"(?<!\bal)\.(?:\s|$)")
# The command line takes numbers only.
_KINDS = re.compile(r"[;,] (?:a )?number(?:, (?:a )?|,? or (?:a )?)(?:traced|sched).*$")


def first_sentence(text: str) -> str:
    """The first sentence of a text of a docstring, for the command line.

    Args:
      text: one line.

    Returns:
      The sentence without full stop and markup, and without the remark that schedules
      and traced scalars are accepted.

    >>> first_sentence("radius :math:`r`; a number or a schedule. See ``sam``.")
    'radius r'
    """
    plain = _MARKUP.sub(lambda m: m[1] or m[2], text).replace("\\", "")
    return _KINDS.sub("", _END.split(plain, maxsplit=1)[0])
