"""``python -m experiments.studies.batch_hessian [quick|full] [out=FOLDER]``."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.studies import command
from experiments.studies.batch_hessian.config import CONFIGS, Config
from experiments.studies.tables import print_table

PURPOSE = (
    "Extremal eigenvalues of the Hessian of a batch, and the largest learning rate\n"
    "at which SGD and Adam stay stable, against the batch size, on a small network\n"
    "on digits; beside them what random matrix theory says: linear and square-root\n"
    "growth, then flat. quick: about a minute on two cores; full: many times that."
)


def run(config: Config, folder: Path) -> list[Any]:
    """Measure, decide, draw.

    Args:
      config: the size of the experiment.
      folder: gets ``results.json`` and ``batch_size.png``; made if it is not there.

    Returns:
      The verdicts.
    """
    from experiments.studies.batch_hessian import claims, figures, measure
    from jaxopt_lab.data import load_digits

    train = load_digits().train
    point = measure.prepare(config, train["image"], train["label"])
    print(f"network trained to a loss of {point.loss:.3f}", flush=True)
    rates = {}
    for name in measure.OPTIMIZERS:
        began = time.perf_counter()
        rates[name] = measure.stable_rates(point, name, config)
        print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)
    began = time.perf_counter()
    rates["linearised"] = measure.linearised_rates(point, config)
    print(f"linearised SGD: {time.perf_counter() - began:.0f} s", flush=True)
    began = time.perf_counter()
    spectra = measure.spectra(point, config)
    print(f"eigenvalues: {time.perf_counter() - began:.0f} s", flush=True)
    verdicts = claims.verdicts(spectra, rates, config)
    folder.mkdir(parents=True, exist_ok=True)
    figures.against_batch_size(spectra, rates, config).savefig(
        folder / "batch_size.png", dpi=110
    )
    record = {
        "config": dataclasses.asdict(config),
        "loss": point.loss,
        "spectra": {
            "largest": spectra.largest.tolist(),
            "smallest": spectra.smallest.tolist(),
            "whole": list(spectra.whole),
            "largest_relative_residual": spectra.residual,
            "element_variance": float(spectra.variance.value),
            "element_variance_error": float(spectra.variance.standard_error),
            "predicted": spectra.predicted.tolist(),
            "num_params": spectra.num_params,
        },
        "rates": {name: values.tolist() for name, values in rates.items()},
        "verdicts": [v._asdict() for v in verdicts],
    }
    (folder / "results.json").write_text(json.dumps(record, indent=2) + "\n")
    _print(spectra, rates, verdicts, config)
    return verdicts


def _print(
    spectra: Any, rates: dict[str, np.ndarray], verdicts: Sequence[Any], config: Config
) -> None:
    print_table(
        f"P = {spectra.num_params}, element variance "
        f"{float(spectra.variance.value):.2e} +- "
        f"{float(spectra.variance.standard_error):.0e}; whole set: largest "
        f"{spectra.whole[0]:.3g}, smallest {spectra.whole[1]:.3g}; largest residual "
        f"{spectra.residual:.0e} of the largest eigenvalue",
        ("B", "largest", "formula", "smallest", "formula", *rates),
        [
            (
                str(size),
                f"{spectra.largest[i].mean():.3g}",
                f"{spectra.predicted[0, i]:.3g}",
                f"{spectra.smallest[i].mean():.3g}",
                f"{spectra.predicted[1, i]:.3g}",
                *(f"{np.exp(np.nanmean(np.log(rates[n][i]))):.3g}" for n in rates),
            )
            for i, size in enumerate(config.batch_sizes)
        ],
    )
    print_table(
        "claims; intervals are over the seeds",
        ("claim", "measured", "verdict"),
        [(v.claim, v.measured, v.word) for v in verdicts],
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
      arguments: the words after the program's name; ``None``: those of the process.

    Returns:
      Exit status, see ``command.main``.
    """
    return command.main("batch_hessian", PURPOSE, CONFIGS, run, arguments)


if __name__ == "__main__":
    sys.exit(main())
