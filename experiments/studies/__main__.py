"""``python -m experiments.studies``: every claim, its run, and the page of all."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.studies import page, records
from experiments.studies.study import QUICK, STANDARD
from jaxopt_lab.core import errors
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab.commands import HELP, guarded

_USAGE = f"""usage: python -m experiments.studies
       python -m experiments.studies run NAME|all [size={QUICK}|{STANDARD}] [OPTION=...]
       python -m experiments.studies page

Without words: every claim of every study, from the standard results that are kept.
run: one study, or all; {STANDARD} results are kept in experiments/studies/NAME/results
and written into docs/claims.md. page: write docs/claims.md again.

studies: """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
      arguments: the words after the program's name; ``None``: those of the process.

    Returns:
      Exit status: 0; 2 for bad input; 130 after Ctrl-C.
    """
    return guarded(_main, sys.argv[1:] if arguments is None else arguments)


def _main(words: Sequence[str]) -> int:
    if any(word in HELP for word in words):
        print(_USAGE + ", ".join(records.names()))
        return 0
    if not words:
        page.table(_kept()).print()
        return 0
    if words[0] == "page" and len(words) == 1:
        return _write()
    if words[0] != "run":
        raise errors.unknown("command", words[0], ("run", "page"))
    return _run(words[1:])


def _run(words: Sequence[str]) -> int:
    known = [*records.names(), "all"]
    if not words or words[0] not in known:
        raise errors.unknown("study", words[0] if words else "", known)
    size, options = QUICK, []
    for word in words[1:]:
        name, _, value = word.partition("=")
        if name == "size":
            size = value
        else:
            options.append(word)
    if size not in (QUICK, STANDARD):
        raise errors.unknown("size", size, (QUICK, STANDARD))
    chosen = records.names() if words[0] == "all" else [words[0]]
    if len(chosen) > 1 and options:
        raise InputError(f"{options[0]} is an option of one study; name it")
    for name in chosen:
        status = records.study(name).main([size, *options])
        if status:
            return status
        if size == STANDARD:
            out = [w.partition("=")[2] for w in options if w.startswith("out=")]
            folder = Path(out[0] if out else f"runs/studies/{name}-{size}")
            # Folders and files of a machine are no part of the command.
            own = " ".join(
                [page.command(name, size)]
                + [f"{w.partition('=')[0]}=..." for w in options if "out=" not in w]
            )
            print(f"kept in {records.keep(name, folder.expanduser(), own)}")
            _write()
    return 0


def _kept() -> dict[str, records.Record | None]:
    return {name: records.read(name) for name in records.names()}


def _write() -> int:
    page.PAGE.write_text(page.page(_kept()))
    print(f"written: {page.PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
