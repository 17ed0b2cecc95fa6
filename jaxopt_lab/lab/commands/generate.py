"""Text from a trained run: ``jaxopt-lab generate run=runs/NAME prompt=TEXT``."""

from __future__ import annotations

import dataclasses
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jaxopt_lab import catalog
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import Interval
from jaxopt_lab.lab import options_form, plain_options
from jaxopt_lab.lab.command_line import asks_help, words
from jaxopt_lab.lab.commands import HELP, command
from jaxopt_lab.lab.ending import leave
from jaxopt_lab.lab.run_choice import ACCEPTED, NEEDED, RunChoice, step_of


@dataclass(frozen=True)
class GenerateOptions(RunChoice):
    """A run, a prompt and a decoder, whose options are those of its row."""

    prompt: str = ""
    """text to go on from; of a run on tokens without characters, numbers with commas"""
    tokens: int = 200
    """new tokens behind the prompt"""
    seed: int = 0
    """of the draws"""
    decoder: str = "sample"
    """a decoder of the catalog"""
    draft: str = ""
    """folder of a smaller run on the same text, for decoder=speculative; its newest
    checkpoint drafts"""
    data_dir: str = ""
    """the text file where it has moved"""
    average: bool = False
    """the averaged weights that a run with ema= keeps"""


def _generate(arguments: Sequence[str]) -> int:
    # Loads jax, after which the rows are known.
    from jaxopt_lab.lab.generation.generator import Generator, options_of, row_of

    given = words([word for word in arguments if word not in HELP])
    row = row_of(given.get("decoder", GenerateOptions.decoder))
    fields = options_form.fields_of(options_of(row), str)
    form: Any = dataclasses.make_dataclass(
        "Options", fields, bases=(GenerateOptions,), frozen=True
    )
    form.__doc__ = f"Options, with those of decoder={row.name}: {row.summary}."
    listed = ", ".join(catalog.of_kind("decoder"))
    if not asks_help(arguments) and given.get("prompt") == "":
        raise InputError("prompt is empty; accepted: at least one character")
    options = plain_options.parse(
        form,
        arguments,
        "generate",
        "Text that goes on from a prompt, as the run's model and a decoder make it: "
        '{command} run=runs/NAME prompt="To be"\nThe text goes to the standard output '
        "while it is made; tokens, steps and calls of the model to the standard "
        f"error.\n\ndecoders (decoder=): {listed}; the options of the one that is "
        "given beside --help are shown.",
        accepted={**ACCEPTED, "tokens": Interval(1), "seed": Interval(0)},
        needed={**NEEDED, "prompt": "the text to go on from"},
    )
    run = options.load("generate", data_dir=options.data_dir, average=options.average)
    draft = None
    if options.draft:
        from jaxopt_lab.lab.python_runs import load

        draft = load(options.draft, step_of("latest"), data_dir=options.data_dir)
        draft = draft.seed(0)
    generator = Generator(
        run,
        row.name,
        tokens=options.tokens,
        draft=draft,
        **{name: getattr(options, name) for name in options_of(row)},
    )
    writer = Writer()
    found = generator(options.prompt, seed=options.seed, on_text=writer.begin(options))
    writer.end()
    accepted = ""
    if found.counts.get("drafted"):
        share = found.counts["accepted"] / found.counts["drafted"]
        accepted = f"; {100 * share:.0f} % of the drafted tokens accepted"
    sys.stderr.write(
        f"{len(found.tokens)} tokens, {found.steps} steps, {found.calls} calls of the "
        f"model, the prompt's included, in {found.seconds:.2f} s{accepted}\n"
    )
    return 0


class Writer:
    """Pieces of text on the standard output, at once."""

    def __init__(self) -> None:
        from jaxopt_lab.lab.generation.characters import visible

        self._change = visible if sys.stdout.isatty() else str
        if isinstance(sys.stdout, io.TextIOWrapper):
            # A terminal or a pipe of a narrow encoding shows ? for other characters.
            sys.stdout.reconfigure(errors="replace")

    def begin(self, options: Any) -> Any:
        """Write the prompt; the function that writes the rest."""
        self(options.prompt)
        return self

    def __call__(self, text: str) -> None:
        sys.stdout.write(self._change(text))
        sys.stdout.flush()

    def end(self) -> None:
        """End the line."""
        self("\n")


main = command(_generate)
"""Run the command; see ``commands.command``."""


if __name__ == "__main__":
    leave(main())
