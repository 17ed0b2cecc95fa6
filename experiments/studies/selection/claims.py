"""The claims about scores of transferability, and their tables."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report
from experiments.harness.verdicts import Claim
from experiments.studies import panels
from experiments.studies.selection.config import Config
from experiments.studies.selection.measure import SCORES, SOURCES, Measured
from jaxopt_lab.metrics.rank_correlation import rank_correlation

_PAPERS = {
    "PARC": "Bolya, Mittapalli and Hoffman 2021, arXiv:2111.06977",
    "labels' similarity": "Dwivedi and Roig 2019, arXiv:1904.11740",
    "H-score": "Bao et al. 2019",
    "nearest neighbour": "Bolya, Mittapalli and Hoffman 2021, arXiv:2111.06977",
}


def correlations(measured: Measured) -> dict[str, np.ndarray]:
    """Rank correlation over the sources of every score with the accuracy.

    Args:
      measured: the measurements.

    Returns:
      ``(seeds,)`` by score.
    """
    return {
        name: np.array(
            [
                rank_correlation(*pair)
                for pair in zip(values.T, measured.accuracy.T, strict=True)
            ]
        )
        for name, values in measured.scores.items()
    }


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence, seed by seed.

    See ``ClaimedExperiment.claims``.
    """
    del config
    found, text = [], "sources with higher scores are more accurate after fine-tuning"
    every = correlations(measured)
    means = measured.accuracy.mean(axis=1)
    least, most = means.min(), means.max()
    # Sources that do equally well leave nothing to rank.
    alike = f"mean accuracies of the sources from {least:.3f} to {most:.3f}"
    for name, values in every.items():
        claim = Claim(text, name, values, evidence=alike, paper=_PAPERS[name])
        found.append(claim)
    for name in SCORES:
        if name != "PARC":
            more = every["PARC"] - every[name]
            claim = Claim(f"ranks the sources better than {name}", "PARC", more)
            found.append(claim._replace(paper=_PAPERS["PARC"]))
    plain = measured.accuracy[-1].astype(np.float64)
    best = np.argmax(measured.scores["PARC"], axis=0)
    chosen = measured.accuracy[best, np.arange(best.size)]
    text = "the source that it chooses is more accurate than the untrained network"
    claim = Claim(text, "PARC", chosen - plain, scale=100, unit=" %")
    return [*found, claim._replace(paper=_PAPERS["PARC"])]


def report(measured: Measured, config: Config) -> Report:
    """Numbers, tables and a figure; see ``Experiment.report``."""

    def by_source(values: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(SOURCES, values, strict=True))

    columns = {"test accuracy": by_source(measured.accuracy)}
    columns |= {name: by_source(values) for name, values in measured.scores.items()}
    ending = f"{config.labels} labels a class, means over {config.seeds} seeds"
    every = {"rank correlation with the accuracy": correlations(measured)}
    tables = [
        panels.arms_table(f"source networks, {ending}", columns, "source"),
        panels.arms_table(
            f"scores of {len(SOURCES)} sources, {ending}", every, "score"
        ),
    ]
    drawn = {"scores": panels.dots(every)}
    return Report({"measured": measured}, tables, drawn)
