"""``python -m experiments.studies.landscapes [quick|full] [out=FOLDER]``."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.studies import command
from experiments.studies.landscapes import figures, measures, report, rows, training
from experiments.studies.landscapes.config import CONFIGS, Case, Config
from jaxopt_lab.data import load_digits

_PURPOSE = (
    "Train on digits with SGD, SAM, mSAM, Adam and Adam with critical momenta, each\n"
    "at the setting that the validation accuracy chooses, and look at the minima:\n"
    "largest eigenvalue of the Hessian, average-direction sharpness, lines and planes\n"
    "along filter-normalised directions and top eigenvectors. Writes results.json,\n"
    "and for each network and loss CASE-planes.png, CASE-lines.png and\n"
    "CASE-landscapes.npz.\n\n"
    "Quick: a perceptron, about 50 s of processor time. Full: more seeds, finer grids\n"
    "and a small convolutional network too; leave it alone for a while."
)


def run(config: Config, folder: Path) -> dict[Case, dict[str, report.Found]]:
    """Train, measure, cut, draw.

    Args:
      config: the size of the experiment.
      folder: gets the files; made if it is not there.

    Returns:
      What was found, by case and optimizer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    dataset, results = load_digits(), {}
    for case in config.cases:
        lab = training.prepare(config, case, dataset)
        found = results[case] = study(lab, rows.rows(config))
        cuts = {name: one.cuts for name, one in found.items()}
        for name, figure in (
            ("planes", figures.planes(cuts, config, case)),
            ("lines", figures.lines(cuts, config, case)),
        ):
            figure.savefig(folder / f"{case.name}-{name}.png", dpi=110)
        named = report.arrays(found)
        np.savez(folder / f"{case.name}-landscapes.npz", **named)  # type: ignore[arg-type]
        report.show(found, config, case)
    record = report.record(results, config)
    (folder / "results.json").write_text(json.dumps(record, indent=2) + "\n")
    return results


def study(
    lab: training.Laboratory, chosen: Sequence[rows.Row]
) -> dict[str, report.Found]:
    """Train and look at the minima.

    Args:
      lab: as ``training.prepare`` makes it.
      chosen: the optimizers; the first sets the unit of Hessian directions.

    Returns:
      What was found, by optimizer.
    """
    found = {}
    for row in chosen:
        began = time.perf_counter()
        minima = training.minima(row, lab)
        found[row.name] = (minima, *measures.measure(lab, minima.params))
        seconds = time.perf_counter() - began
        print(f"{lab.case.name}, {row.name}: {seconds:.0f} s", flush=True)
    first = found[chosen[0].name][1]
    unit, *_ = report.geometric_interval(first.top, lab.config.confidence)
    return {
        name: report.Found(
            minima, measured, measures.cut(lab, minima.params, vectors, unit)
        )
        for name, (minima, measured, vectors) in found.items()
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
      arguments: the words after the program's name; ``None``: those of the process.

    Returns:
      Exit status, see ``command.main``.
    """
    return command.main("landscapes", _PURPOSE, CONFIGS, run, arguments)


if __name__ == "__main__":
    sys.exit(main())
