"""Texts of arguments: read from a docstring, and written into another."""

from __future__ import annotations

import functools
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping
from typing import Any

_REST = re.compile(r"^( *)\*\*\w+: .*\n(?:\1  .*\n)*", re.MULTILINE)


def with_arguments(docstring: str, lines: Iterable[str]) -> str:
    """A docstring with the lines of inherited arguments in place of ``**options``.

    Args:
      docstring: as it stands in its function.
      lines: those about the arguments, as ``entries_of`` gives them. They are copied:
        wrapping them again would cost every import.

    Returns:
      The docstring; itself where it has no ``**options``.
    """

    def written(match: re.Match[str]) -> str:
        return "".join(f"{match[1]}{line}".rstrip() + "\n" for line in lines)

    return _REST.sub(written, docstring, count=1)


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


_ENTRY = re.compile(r"^  (\*{0,2}\w+): ")


@functools.cache
def entries_of(function: Callable[..., Any]) -> Mapping[str, list[str]]:
    """The lines about each argument in the docstring of a function, by name.

    Args:
      function: a function whose docstring has ``Args``, or a dataclass with
        ``Attributes``.

    Returns:
      Lines without the indentation of the entry.
    """
    return _entries(inspect.getdoc(function) or "")


@functools.cache
def documented(function: Callable[..., Any]) -> Mapping[str, str]:
    """The texts of the arguments in the docstring of a function, by name.

    Args:
      function: as for ``entries_of``. ``takes`` has written the arguments of its
        source into it.

    Returns:
      The texts, each in one line.
    """
    return _texts(entries_of(function))


def argument_texts(docstring: str) -> dict[str, str]:
    """The texts of the arguments in a docstring, by name.

    Args:
      docstring: without the indentation of its place.

    Returns:
      The texts, each in one line.

    >>> argument_texts("Scale.\\n\\nArgs:\\n  rho: radius,\\n    in its units.")
    {'rho': 'radius, in its units.'}
    """
    return _texts(_entries(docstring))


def _entries(docstring: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    name, inside = "", False
    for line in docstring.splitlines():
        if not line.startswith(" ") and line.strip():
            inside = line in ("Args:", "Attributes:")
            name = ""
        elif inside and (entry := _ENTRY.match(line)):
            name = entry[1].lstrip("*")
            found[name] = [line[2:]]
        elif inside and name and (line.startswith("    ") or not line.strip()):
            # Blank lines too, before and behind a list.
            found[name].append(line[2:])
    return {name: _without_end(lines) for name, lines in found.items()}


def _without_end(lines: list[str]) -> list[str]:
    end = max(i for i, line in enumerate(lines) if line.strip())
    return lines[: end + 1]


def _texts(entries: Mapping[str, list[str]]) -> dict[str, str]:
    joined = {n: " ".join(" ".join(lines).split()) for n, lines in entries.items()}
    return {name: text.partition(": ")[2] for name, text in joined.items()}


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
