"""The options of a command that has one dataclass of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import Interval
from jaxopt_lab.lab import option_texts
from jaxopt_lab.lab.command_line import asks_help, known_words, program
from jaxopt_lab.lab.commands import HELP
from jaxopt_lab.lab.options_form import capitalized

T = TypeVar("T")


def parse(
    kind: type[T],
    arguments: Sequence[str],
    command: str,
    description: str,
    *,
    accepted: Mapping[str, Interval],
    needed: Mapping[str, str],
) -> T:
    """The options that the words of a command stand for.

    Args:
      kind: dataclass of the options, with defaults and help texts.
      arguments: the words after the command's name, ``key=value``.
      command: its name, for the help.
      description: above its help; ``{command}`` in it is how the command is started.
      accepted: intervals of numbers.
      needed: what the options are that must be given.

    Returns:
      The options, every value checked.

    Raises:
      InputError: an unknown name, a value out of range or of another type, or one is
        missing.
      SystemExit: help was asked for.
    """
    import tyro

    form: Any = kind
    defaults = {field.name: field.default for field in dataclasses.fields(form)}
    given = known_words([w for w in arguments if w not in HELP], defaults)
    words = [
        f"--{name}={capitalized(value) if type(defaults[name]) is bool else value}"
        for name, value in given.items()
    ]
    called = program(command)
    helping = asks_help(arguments)
    if not helping:
        option_texts.check(form, given)
    options: Any = tyro.cli(
        option_texts.paragraphs(form) if helping else form,
        args=[*words, "--help"] if helping else words,
        prog=called,
        description=description.format(command=called),
        use_underscores=True,
        config=(tyro.conf.FlagConversionOff,),
    )
    for name, interval in accepted.items():
        value = getattr(options, name)
        if value not in interval:
            raise InputError(f"{name}={value} is out of range; accepted: {interval}")
    for name, text in needed.items():
        if not getattr(options, name):
            raise InputError(f"{name}= is missing: {text}")
    return options
