"""Find a learning rate: ``jaxopt-lab find_rate method=sgd task=digits``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.files import reason
from jaxopt_lab.lab import command_line
from jaxopt_lab.lab.commands import command
from jaxopt_lab.lab.commands.train import configure_jax
from jaxopt_lab.lab.configuration import Configuration
from jaxopt_lab.lab.ending import leave
from jaxopt_lab.lab.rates import options as options_of

if TYPE_CHECKING:
    from jaxopt_lab.lab.rates.measure import Found


def _find_rate(words: Sequence[str]) -> int:
    options, configuration = options_of.parse(words)
    own = getattr(configuration.model, "dtype", "float32")
    configure_jax(x64=own == "float64")
    from jaxopt_lab.lab.rates import measure

    found = measure.find_rate(configuration, options, _say)
    if options.figure:
        _draw(found, Path(options.figure).expanduser(), configuration)
    _print(configuration, found)
    values = {one.name: one.curvature for one in found.stable}
    told = {"proposed": found.proposed, "rates": found.marks, "curvature": values}
    print(json.dumps(told))
    return 0


def _say(text: str) -> None:
    print(text, flush=True)


def _draw(found: Found, path: Path, configuration: Configuration) -> None:
    from jaxopt_lab.plotting import rate_curve

    run, test = configuration.run, found.test
    figure = rate_curve(
        test.rates,
        test.losses,
        found.rules.smoothed,
        found.marks,
        title=f"{run.method} on {run.task} with {run.model}",
    )
    try:
        figure.savefig(path, dpi=130)
    except (OSError, ValueError) as error:
        said = reason(error) if isinstance(error, OSError) else str(error)
        raise InputError(f"cannot write figure={path}: {said}") from None
    _say(f"figure: {path}")


def _print(configuration: Configuration, found: Found) -> None:
    from rich.console import Console
    from rich.table import Table

    from jaxopt_lab.lab.rates.measure import with_rate

    table = Table("rule", "learning rate", "read from")
    for one in found.stable:
        table.add_row(
            f"stable by {one.name}",
            f"{one.rate:.3g}",
            f"{one.curvature:.4g} ± {one.error:.1g}",
        )
    rules = found.rules
    for name, rate, source in (
        ("steepest descent", rules.steepest, "loss"),
        ("divergence", rules.divergence, "lowest loss"),
        ("a tenth of it", rules.tenth, "loss"),
    ):
        if rate is not None:
            table.add_row(name, f"{rate:.3g}", source)
    console = Console()
    console.print(table)
    for note in found.notes:
        console.print(note, soft_wrap=True, highlight=False, markup=False)
    if found.proposed is None:
        console.print("no rule gives a rate")
        return
    run = configuration.run
    console.print(
        f"proposed: {found.proposed:g}, between the steepest descent and a tenth of "
        "the divergence. All is measured where the run begins; curvature changes "
        f"along it (seed {run.seed})",
        soft_wrap=True,
        highlight=False,
    )
    print(command_line.command(with_rate(configuration, found.proposed), run.out))


main = command(_find_rate)
"""Run the command; see ``commands.command``."""


if __name__ == "__main__":
    leave(main())
