"""``python -m experiments.studies.stability [quick|full] [out=FOLDER]``."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from experiments.studies import command
from experiments.studies.stability.config import CONFIGS, Config
from experiments.studies.tables import print_table

PURPOSE = (
    "Thresholds of the learning rate of SGD at a minimum, exact and from simple\n"
    "tests, against simulated SGD: groups of identical Hessians, a two-layer linear\n"
    "network, a small network that interpolates digits. quick: about a minute on two\n"
    "cores; full: more learning rates, runs and ways of sampling, many times that."
)
PROBLEMS = ("groups", "linear", "network")


def run(config: Config, folder: Path, problems: Sequence[str] = PROBLEMS) -> list[Any]:
    """Simulate, decide, draw.

    Args:
      config: the size of the experiment.
      folder: gets ``results.json`` and the figures; made if it is not there.
      problems: which of ``PROBLEMS``.

    Returns:
      The verdicts.
    """
    import jax

    # A perturbation of 1e-6 around a minimum is below the resolution of float32.
    with jax.enable_x64(True), jax.numpy_rank_promotion("allow"):
        return _run(config, folder, problems)


def _run(config: Config, folder: Path, chosen: Sequence[str]) -> list[Any]:
    from experiments.studies.stability import claims, figures, measure, problems

    makers: dict[str, Callable[[], problems.Problem]] = {
        "groups": lambda: problems.groups(config),
        "linear": lambda: problems.two_layer_linear(config),
        "network": lambda: problems.network(config, *_digits()),
    }
    folder.mkdir(parents=True, exist_ok=True)
    lines, verdicts = [], []
    for name in chosen:
        problem = makers[name]()
        for sampling in config.samplings:
            began = time.perf_counter()
            lines += measure.lines(problem, sampling, config)
            took = time.perf_counter() - began
            print(f"{problem.name}, {sampling}: {took:.0f} s", flush=True)
        if name == "groups":
            runs, growth = measure.illustration(problem, config)
            verdicts.append(claims.plain_verdict(runs, growth, problem.name, config))
            figures.plain_runs(runs, growth, problem.name, config).savefig(
                folder / "plain_runs.png", dpi=110
            )
    verdicts = claims.verdicts(lines, config) + verdicts
    for sampling in config.samplings:
        mine = [line for line in lines if line.sampling == sampling]
        figure = figures.growth_curves(mine, config)
        figure.savefig(folder / f"growth_{sampling}.png", dpi=110)
    record = {
        "config": dataclasses.asdict(config),
        "lines": [_plain(line) for line in lines],
        "verdicts": [v._asdict() for v in verdicts],
    }
    (folder / "results.json").write_text(json.dumps(record, indent=2) + "\n")
    _print(lines, verdicts)
    return verdicts


def _digits() -> tuple[Any, Any]:
    from jaxopt_lab.data import load_digits

    train = load_digits().train
    return train["image"], train["label"]


def _plain(line: Any) -> dict[str, Any]:
    as_list = lambda x: x.tolist() if hasattr(x, "tolist") else x
    return {name: as_list(value) for name, value in line._asdict().items()}


def _print(lines: Sequence[Any], verdicts: Sequence[Any]) -> None:
    from experiments.studies.stability.measure import crossing

    rows = []
    for line in lines:
        rates = (
            crossing(line),
            line.exact,
            line.max_sample,
            line.coherence,
            line.gradient_descent,
            line.converse,
        )
        rows.append(
            (
                line.problem,
                line.sampling.replace("_", " "),
                str(line.batch_size),
                f"{line.sigma_per_sample:.3f}",
                *(f"{rate:.4g}" for rate in rates),
            )
        )
    print_table(
        "learning rates; the simple tests are for Bernoulli sampling",
        (
            "problem",
            "sampling",
            "B",
            "sigma/n",
            "measured",
            "exact",
            "max_sample",
            "coherence",
            "2/lambda_1",
            "converse",
        ),
        rows,
    )
    print_table(
        "claims",
        ("claim", "where", "measured", "verdict"),
        [(v.claim, v.where, v.measured, v.word) for v in verdicts],
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
      arguments: the words after the program's name; ``None``: those of the process.

    Returns:
      Exit status, see ``command.main``.
    """
    return command.main("stability", PURPOSE, CONFIGS, run, arguments)


if __name__ == "__main__":
    sys.exit(main())
