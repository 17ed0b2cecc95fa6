"""The command line that the reproductions share: a size, and options."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from jaxopt_lab.core import errors

C = TypeVar("C")

_HELP = ("-h", "--help", "help")
_NOTHING: Mapping[str, str] = MappingProxyType({})


def main(
    name: str,
    purpose: str,
    sizes: Mapping[str, C],
    run: Callable[..., object],
    arguments: Sequence[str] | None = None,
    options: Mapping[str, str] = _NOTHING,
) -> int:
    """Run ``python -m experiments.studies.NAME [SIZE] [out=FOLDER] [OPTION=VALUE]``.

    Args:
      name: of the experiment, its module below ``experiments.studies``.
      purpose: what it does and how long each size takes, for ``--help``.
      sizes: settings by the name of the size; the first is the default.
      run: ``run(settings, folder, **given)`` does it; the folder may not exist yet.
      arguments: the words after the program's name; ``None``: those of the process.
      options: what can be given besides ``out``, with a text for ``--help``. Their
        values reach ``run`` as text.

    Returns:
      Exit status: 0; 2 for bad input; 130 after Ctrl-C.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    default = next(iter(sizes))
    if any(word in _HELP for word in words):
        more = "".join(f" [{option}=...]" for option in options)
        about = "".join(f"\n  {option}: {text}" for option, text in options.items())
        print(
            f"usage: python -m experiments.studies.{name} [{'|'.join(sizes)}] "
            f"[out=FOLDER]{more}\n\n{purpose}\n\nThe size is {default} if none is "
            f"given; results go to runs/reproduce/{name}-SIZE, or to FOLDER.{about}"
        )
        return 0
    try:
        size, folder, given = _chosen(name, sizes, options, words)
        run(sizes[size], folder, **given)
    except errors.InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped\n")
        return 130
    print(f"files in {folder}")
    return 0


def _chosen(
    name: str, sizes: Mapping[str, Any], options: Mapping[str, str], words: list[str]
) -> tuple[str, Path, dict[str, str]]:
    size = next(iter(sizes))
    if words and "=" not in words[0]:
        size = words.pop(0)
    if size not in sizes:
        raise errors.unknown("size", size, sizes)
    given: dict[str, str] = {}
    for word in words:
        option, equals, value = word.partition("=")
        if not equals or not value:
            raise errors.InputError(f"cannot read {word!r}; options are key=value")
        if option not in ("out", *options):
            raise errors.unknown("option", option, ("out", *options))
        given[option] = value
    default = Path("runs") / "reproduce" / f"{name}-{size}"
    folder = Path(given.pop("out", default)).expanduser()
    if folder.exists() and not folder.is_dir():
        raise errors.InputError(f"out={folder} is a file; give a folder")
    return size, folder, given
