"""The claims about probes, and their table."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies import panels
from experiments.studies.probes.config import EPS, Config
from experiments.studies.probes.measure import LOGISTIC, Measured
from jaxopt_lab.lab.statistics import mean_interval

_PILOT = "pilot: naive Bayes nears a lower asymptote, and crosses only below 20 labels"
_SPOILED = "eps 1e-9 is spoiled by constant pixels at small n"


def n95(accuracy: np.ndarray, counts: tuple[int, ...]) -> np.ndarray:
    """The smallest number of labels that gives 95 % of the last accuracy.

    Args:
      accuracy: ``(counts, seeds)``.
      counts: rising numbers of labels.

    Returns:
      ``(seeds,)``.

    >>> n95(np.array([[0.5], [0.9], [0.91]]), (10, 20, 50)).tolist()
    [20]
    """
    enough = accuracy >= 0.95 * accuracy[-1:]
    return np.array(counts)[np.argmax(enough, axis=0)]


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence, draw by draw; see ``ClaimedExperiment.claims``.

    Returns:
      The claims, for both values of eps.
    """
    found = []
    few = [i for i, n in enumerate(config.counts) if n <= 20]
    for kind, by_probe in measured.accuracy.items():
        logistic = by_probe[LOGISTIC].astype(np.float64)
        for name in EPS:
            own, where = by_probe[name].astype(np.float64), f"{kind}: {name}"
            sizes = n95(logistic, config.counts) / n95(own, config.counts)
            found += [
                Claim(
                    "fewer labels than logistic regression give 95 % of its own last "
                    "accuracy (logarithm of the ratio)",
                    where,
                    np.log(sizes),
                    evidence=_PILOT,
                ),
                Claim(
                    "more accurate than logistic regression up to 20 labels",
                    where,
                    np.mean((own - logistic)[few], axis=0),
                    scale=100,
                    unit=" %",
                    evidence=_SPOILED if name == "naive Bayes" else "",
                ),
                Claim(
                    "less accurate than logistic regression with the most labels",
                    where,
                    (logistic - own)[-1],
                    scale=100,
                    unit=" %",
                ),
            ]
    return found


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure; see ``Experiment.report``."""
    rows = []
    for kind, by_probe in measured.accuracy.items():
        for name, values in by_probe.items():
            cells = [f"{100 * mean_interval(row).mean:.1f}" for row in values]
            rows.append((kind, name, *cells))
    table = Table(
        f"test accuracy in per cent over labels, means of {config.seeds} draws",
        ("features", "probe", *map(str, config.counts)),
        rows,
    )
    labels = ("labelled examples", "test accuracy")
    drawn = panels.lines(measured.accuracy, config.counts, labels, ("log", "linear"))
    return Report({"measured": measured}, [table], {"accuracy": drawn})
