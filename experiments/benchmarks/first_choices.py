"""A training step of every first choice among the optimizers against that of AdamW.

Run as ``python -m experiments.benchmarks.first_choices [keep]``. The rows are those of
the first table of ``docs/choose.md``; links stand before AdamW. The step is that of
``make_train_step`` on the dense network of ``sam_step``, at its batch; times are
paired. ``keep`` writes the ratios into ``docs/figures/step_times.json``, from where
``docs/extensions/catalog_tables.py`` takes them.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import optax

from experiments.benchmarks.paired import Ratio, ratio, report
from experiments.benchmarks.sam_step import compiled_step, problem
from jaxopt_lab import catalog
from jaxopt_lab.core.errors import InputError

DOCS = Path(__file__).resolve().parents[2] / "docs"
KEPT = DOCS / "figures" / "step_times.json"
LEARNING_RATE = 1e-3
PAIRS = 20
REPEAT = 5


def names() -> list[str]:
    """The rows of the first choices, in the order of the page."""
    page = (DOCS / "choose.md").read_text()
    table = page.partition("<!-- choice -->")[2].partition("<!-- end of choice -->")[0]
    return re.findall(r"^\| [^|]* \| `(\w+)` \|", table, re.MULTILINE)


def optimizer(name: str) -> optax.GradientTransformation:
    """A row of the catalog as a whole optimizer.

    Args:
      name: of the row.

    Returns:
      It, at its defaults; a link or wrapper with AdamW.
    """
    row = catalog.get(name, "transform")
    base = optax.adamw(LEARNING_RATE)
    if row.role == "optimizer":
        return row.load()(**row.checked({"learning_rate": LEARNING_RATE}))
    options = row.checked({})
    if row.role == "wrapper":
        return row.load()(base, **options)
    return optax.chain(row.load()(**options), base)


def _runner(tx: optax.GradientTransformation) -> Callable[[], Any]:
    program, state = compiled_step(tx)
    batch = problem(jax.random.key(0))[1]
    held = [jax.tree.map(lambda leaf: leaf.copy(), state)]

    def run() -> Any:
        held[0], metrics = program(held[0], batch)
        return jax.block_until_ready(metrics)

    return run


def measured(pairs: int = PAIRS, repeat: int = REPEAT) -> dict[str, Ratio]:
    """Time of a step over that of AdamW, by row.

    Args:
      pairs: of steps.
      repeat: steps timed as one.

    Returns:
      The ratios.
    """
    plain = _runner(optax.adamw(LEARNING_RATE))
    found = {}
    for name in names():
        step = _runner(optimizer(name))
        found[name] = ratio(step, plain, pairs=pairs, repeat=repeat)
    return found


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and keep the ratios where that is said.

    Args:
      arguments: nothing, or ``keep``.

    Returns:
      Exit status.

    Raises:
      InputError: another word.
    """
    if list(arguments) not in ([], ["keep"]):
        raise InputError(f"{' '.join(arguments)!r}; accepted: nothing, or keep")
    found = measured()
    report("a training step over that of AdamW", dict(found))
    if arguments:
        kept = {
            "command": "python -m experiments.benchmarks.first_choices keep",
            "backend": jax.default_backend(),
            "jax": jax.__version__,
            "ratios": {name: round(r.median, 2) for name, r in found.items()},
        }
        KEPT.write_text(json.dumps(kept, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
