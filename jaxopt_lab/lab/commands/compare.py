"""Compare methods: ``jaxopt-lab compare methods=sgd,adam,sam task=digits seeds=5``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from jaxopt_lab.lab.commands import guarded
from jaxopt_lab.lab.comparison import options as options_of
from jaxopt_lab.lab.ending import leave


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
      arguments: the words after the program's name; ``None``: those of the process.

    Returns:
      Exit status: 0; 1 for a loss that is not finite, in a recipe; 2 for bad input;
      130 after Ctrl-C, 143 after SIGTERM.
    """
    words = sys.argv[1:] if arguments is None else arguments
    return guarded(_compare, words, stopped="stopped before anything was trained")


def _compare(words: Sequence[str]) -> int:
    asked = options_of.parse(words)
    from jaxopt_lab.lab.commands.train import configure_jax

    configure_jax(x64=asked.others.get("model.dtype") == "float64")
    from jaxopt_lab.lab.comparison import page
    from jaxopt_lab.lab.comparison.compare import run_comparison
    from jaxopt_lab.lab.comparison.trainings import Stopped
    from jaxopt_lab.runtime import EXIT_CODES, NonFiniteLossError

    places: list[Path] = []

    def begun(folder: Path) -> None:
        places.append(folder)
        _say(f"folder of the comparison: {folder}")

    try:
        made = run_comparison(asked, _say, begun)
    except (Stopped, KeyboardInterrupt) as error:
        if not places:
            raise
        signal = error.signal if isinstance(error, Stopped) else "SIGINT"
        again = asked.command(str(places[0]))
        sys.stderr.write(f"\n{signal}: what is trained is kept; go on with: {again}\n")
        return EXIT_CODES[signal]
    except NonFiniteLossError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    _print([row[:3] + row[5:] for row in page.ranks(made.results)])
    for text in page.conclusions(made.results):
        print(text)
    print(f"report: {made.report}")
    return 0


def _print(rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="result", title_justify="left")
    for name in rows[0]:
        table.add_column(name)
    for row in rows[1:]:
        table.add_row(*row)
    Console().print(table)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    leave(main())
