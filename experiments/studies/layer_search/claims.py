"""The claims about the search of layers, and their table."""

from __future__ import annotations

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies.layer_search.config import Config
from experiments.studies.layer_search.measure import (
    EVOLUTION,
    KNOWN,
    RANDOM,
    Measured,
)
from experiments.studies.panels import dots
from jaxopt_lab.search.layer_genomes import INPUTS, OPS


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence; see ``ClaimedExperiment.claims``."""
    del config
    percent = {"scale": 100, "unit": " %"}
    best, test = measured.best, measured.test
    found = [
        Claim(
            "a better validation accuracy than random search",
            EVOLUTION,
            best[EVOLUTION] - best[RANDOM],
            **percent,
        ),
        Claim(
            "a better layer on the test set than random search",
            EVOLUTION,
            test[EVOLUTION] - test[RANDOM],
            **percent,
        ),
        Claim(
            "rejection saves at least half of the steps",
            RANDOM,
            1 - measured.steps[RANDOM],
            (0.5, float("inf")),
            **percent,
        ),
    ]
    for name in KNOWN:
        gain = test[EVOLUTION] - test[name]
        found.append(Claim(f"a better layer than {name}", EVOLUTION, gain, **percent))
    return found


def written(genome: list[list[int]]) -> str:
    """A genome by the names of its operations.

    Args:
      genome: triples.

    Returns:
      One line; values of nodes by their numbers from 0.

    >>> written([[1, 0, 3], [5, 4, 4]])
    'mul(x, v1); sigmoid(0, 0)'
    """
    count = len(INPUTS)
    name = lambda place: INPUTS[place] if place < count else str(place - count)
    return "; ".join(f"{OPS[op]}({name(a)}, {name(b)})" for op, a, b in genome)


def report(measured: Measured, config: Config) -> Report:
    """Numbers, tables and a figure; see ``Experiment.report``."""
    rows = []
    for name, test in measured.test.items():
        best, steps = "", ""
        if name in measured.best:
            best = f"{100 * measured.best[name].mean():.1f}"
            steps = f"{100 * measured.steps[name].mean():.0f} %"
        rows.append((name, best, f"{100 * test.mean():.1f}", steps))
    table = Table(
        f"digits, {config.budget} candidates, means over {config.seeds} seeds",
        ("layer", "best in validation, %", "test, %", "steps of all"),
        rows,
    )
    place = int(measured.best[EVOLUTION].argmax())
    layer = written(measured.genome[EVOLUTION][place].astype(int).tolist())
    found = Table("the best layer of all", ("nodes",), [(layer,)])
    drawn = {"test": dots({"": measured.test}, label="test accuracy, %", scale=100)}
    return Report({"measured": measured}, [table, found], drawn)
