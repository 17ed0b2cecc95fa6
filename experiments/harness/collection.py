"""The commands of all experiments of a kind: ``python -m experiments.KIND``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from experiments.harness import page
from experiments.harness.experiment import QUICK, STANDARD
from experiments.harness.records import Collection, Record
from experiments.harness.report import Table
from jaxopt_lab.core import errors
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab.commands import HELP, guarded

Listing = Callable[[Collection, Mapping[str, Record | None]], Table]


def main(
    kind: Collection, listing: Listing, arguments: Sequence[str] | None = None
) -> int:
    """Run one command.

    Args:
      kind: of the experiments.
      listing: the table that is printed where there are no words.
      arguments: the words after the program's name; ``None``: those of the process.

    Returns:
      Exit status: 0; 2 for bad input; 130 after Ctrl-C.
    """

    def chosen(words: Sequence[str]) -> int:
        if any(word in HELP for word in words):
            print(_usage(kind))
        elif not words:
            listing(kind, kind.kept()).print()
        elif words[0] == "page" and len(words) == 1:
            _write(kind)
        elif words[0] == "run":
            return _run(kind, words[1:])
        else:
            raise errors.unknown("command", words[0], ("run", "page"))
        return 0

    return guarded(chosen, sys.argv[1:] if arguments is None else arguments)


def _usage(kind: Collection) -> str:
    program = f"python -m experiments.{kind.kind}"
    written = f"docs/{kind.page.name}"
    return f"""usage: {program}
       {program} run NAME|all [size={QUICK}|{STANDARD}] [OPTION=...]
       {program} page

Without words: the {kind.kind} and their verdicts, from the standard results that are
kept. run: one {kind.one}, or all; {STANDARD} results are kept beside the {kind.kind}
and written into {written}. page: write {written} again.
Options of one {kind.one}: {program}.NAME --help

{kind.kind}: {", ".join(kind.names())}"""


def _run(kind: Collection, words: Sequence[str]) -> int:
    known = [*kind.names(), "all"]
    if not words or words[0] not in known:
        raise errors.unknown(kind.one, words[0] if words else "", known)
    size, options = QUICK, []
    for word in words[1:]:
        name, _, value = word.partition("=")
        if name == "size":
            size = value
        else:
            options.append(word)
    if size not in (QUICK, STANDARD):
        raise errors.unknown("size", size, (QUICK, STANDARD))
    chosen = kind.names() if words[0] == "all" else [words[0]]
    if len(chosen) > 1 and options:
        raise InputError(f"{options[0]} is an option of one {kind.one}; name it")
    for name in chosen:
        experiment = kind.experiment(name)
        status = experiment.main([size, *options])
        if status:
            return status
        if size == STANDARD:
            out = [w.partition("=")[2] for w in options if w.startswith("out=")]
            folder = Path(out[0] if out else f"runs/{kind.kind}/{name}-{size}")
            own = " ".join([page.command(kind, name, size), *_portable(options)])
            kept = kind.keep(name, folder.expanduser(), own, experiment.parts)
            print(f"kept in {kept}")
            _write(kind)
    return 0


def _portable(options: Sequence[str]) -> list[str]:
    """The options without folders and files of a machine, which no command keeps."""
    found = []
    for word in options:
        name, _, value = word.partition("=")
        if name != "out":
            found.append(f"{name}=..." if Path(value).exists() else word)
    return found


def _write(kind: Collection) -> None:
    kind.page.write_text(page.page(kind, kind.kept()))
    print(f"written: {kind.page}")
