"""The console script ``jaxopt-lab``: one command of the lab by its name."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

from jaxopt_lab.core.errors import unknown
from jaxopt_lab.lab.commands import COMMANDS, HELP, guarded
from jaxopt_lab.lab.ending import leave


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``jaxopt-lab COMMAND ...``.

    Args:
      arguments: the words after the program's name; ``None``: those of the process.

    Returns:
      Exit status of the command: 0; 2 for bad input, an unknown command among it; 130
      after Ctrl-C.
    """
    return guarded(_main, sys.argv[1:] if arguments is None else arguments)


def console() -> NoReturn:
    """The console script: run a command, and end the process."""
    leave(main())


def _main(words: Sequence[str]) -> int:
    if not words or words[0] in HELP:
        print(_help())
        return 0
    if words[0] == "--version":
        from jaxopt_lab import __version__

        print(f"jaxopt-lab {__version__}")
        return 0
    name = words[0]
    if name not in COMMANDS:
        raise unknown("command", name, COMMANDS)
    # Imported here: a command brings jax with it, which a typo need not wait for.
    module = importlib.import_module(f"jaxopt_lab.lab.commands.{name}")
    return module.main(words[1:])


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = ["usage: jaxopt-lab COMMAND [KEY=VALUE ...]", ""]
    lines += [f"  {name:{width}}  {about}" for name, about in COMMANDS.items()]
    return "\n".join([*lines, "", "jaxopt-lab COMMAND --help lists its options."])


if __name__ == "__main__":
    console()
