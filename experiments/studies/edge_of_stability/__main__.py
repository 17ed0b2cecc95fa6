"""``python -m experiments.studies.edge_of_stability quick|full [out=FOLDER]``."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from experiments.studies import command
from experiments.studies.edge_of_stability import claims, figures, measure, network
from experiments.studies.edge_of_stability.config import CONFIGS, Config
from experiments.studies.tables import print_table

_PURPOSE = (
    "Train a small tanh network on digits by (stochastic) gradient descent, momentum\n"
    "and Adam, and measure the largest eigenvalue of the Hessian along the way: does\n"
    "it rise to the edge of stability and stay there (Cohen et al. 2021, 2022;\n"
    "Andreyev and Beneventano 2024)? Writes results.json and paths.png."
)


def run(config: Config, folder: Path) -> list[claims.Verdict]:
    """Train, measure, decide, draw.

    Args:
      config: the size of the experiment.
      folder: gets ``results.json`` and ``paths.png``; made if it is not there.

    Returns:
      The verdicts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data = network.digits(config.examples)
    found = {}
    for row in config.rows:
        began = time.perf_counter()
        found[row] = measure.follow(row, config, data)
        print(f"{row.name}: {time.perf_counter() - began:.0f} s", flush=True)
    told = claims.verdicts(found, config)
    record = {
        "config": dataclasses.asdict(config),
        "paths": [
            {
                "row": row.name,
                "edge": row.edge,
                **{
                    name: None if values is None else values.tolist()
                    for name, values in path._asdict().items()
                },
            }
            for row, path in found.items()
        ],
        "verdicts": [verdict._asdict() for verdict in told],
    }
    (folder / "results.json").write_text(json.dumps(record, indent=2) + "\n")
    figures.paths(found).savefig(folder / "paths.png", dpi=110)
    _print(told, config)
    return told


def _print(told: Sequence[claims.Verdict], config: Config) -> None:
    print_table(
        f"edge of stability, means over {config.seeds} seeds (95 % bootstrap)",
        ("optimizer", "claim", "measured", "accepted", "verdict"),
        [
            (
                v.row,
                v.claim,
                f"{v.value:.3f} ({v.low:.3f} to {v.high:.3f})",
                f"{v.accepted[0]:.2f} to {v.accepted[1]:.2f}",
                v.word,
            )
            for v in told
        ],
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
      arguments: the words after the program's name; ``None``: those of the process.

    Returns:
      Exit status, see ``command.main``.
    """
    return command.main("edge_of_stability", _PURPOSE, CONFIGS, run, arguments)


if __name__ == "__main__":
    sys.exit(main())
