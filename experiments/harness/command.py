"""The command line of studies and applications: a size, and options."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from jaxopt_lab.core import errors
from jaxopt_lab.lab.commands import HELP, guarded

_NOTHING: Mapping[str, str] = MappingProxyType({})


class Command(NamedTuple):
    """The command ``python -m experiments.KIND.NAME [SIZE] [OPTION=VALUE ...]``.

    Attributes:
      kind: ``"studies"`` or ``"applications"``.
      name: of the module there.
      purpose: what it does and how long each size takes, for ``--help``.
      sizes: the names of the sizes; the first is the default.
      options: what can be given besides ``out``, with a text for ``--help``.
    """

    kind: str
    name: str
    purpose: str
    sizes: Sequence[str]
    options: Mapping[str, str] = _NOTHING

    def main(
        self, run: Callable[..., object], arguments: Sequence[str] | None = None
    ) -> int:
        """Read the words, run, and say where the files are.

        Args:
          run: ``run(size, folder, **given)``; the folder may not exist yet, and the
            values of the given options are texts.
          arguments: the words after the program's name; ``None``: of the process.

        Returns:
          Exit status: 0; 2 for bad input; 130 after Ctrl-C.
        """

        def chosen(words: Sequence[str]) -> int:
            if any(word in HELP for word in words):
                print(self.help())
                return 0
            size, folder, given = self.parse(words)
            run(size, folder, **given)
            print(f"files in {folder}")
            return 0

        return guarded(chosen, sys.argv[1:] if arguments is None else arguments)

    def help(self) -> str:
        """The text of ``--help``."""
        more = "".join(f" [{option}=...]" for option in self.options)
        about = "".join(f"\n  {name}: {text}" for name, text in self.options.items())
        purpose = "\n\n".join(map(textwrap.fill, self.purpose.split("\n\n")))
        return (
            f"usage: python -m experiments.{self.kind}.{self.name} "
            f"[{'|'.join(self.sizes)}] [out=FOLDER]{more}\n\n{purpose}\n\n"
            f"The size is {self.sizes[0]} if none is given; results go to "
            f"runs/{self.kind}/{self.name}-SIZE, or to FOLDER.{about}"
        )

    def parse(self, words: Sequence[str]) -> tuple[str, Path, dict[str, str]]:
        """The size, the folder and the options among the words.

        Args:
          words: those after the program's name.

        Returns:
          The three.

        Raises:
          InputError: a word cannot be read, an unknown name, or ``out`` is a file.
        """
        rest, size = list(words), self.sizes[0]
        if rest and "=" not in rest[0]:
            size = rest.pop(0)
        if size not in self.sizes:
            raise errors.unknown("size", size, self.sizes)
        given: dict[str, str] = {}
        for word in rest:
            option, equals, value = word.partition("=")
            if not equals or not value:
                raise errors.InputError(f"cannot read {word!r}; options are key=value")
            if option not in ("out", *self.options):
                raise errors.unknown("option", option, ("out", *self.options))
            given[option] = value
        default = Path("runs") / self.kind / f"{self.name}-{size}"
        folder = Path(given.pop("out", default)).expanduser()
        if folder.exists() and not folder.is_dir():
            raise errors.InputError(f"out={folder} is a file; give a folder")
        return size, folder, given
