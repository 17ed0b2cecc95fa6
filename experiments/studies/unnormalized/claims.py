"""The claims about unnormalized models, and their tables."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim, exact
from experiments.studies.scores import Score, better, score, table
from experiments.studies.unnormalized.config import Config
from experiments.studies.unnormalized.gaussian import curvatures
from experiments.studies.unnormalized.measure import Measured

_INF = float("inf")
_WHERE = "binary model"


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence; see ``ClaimedExperiment.claims``."""
    fewer = np.log(measured.steps["nce"] / measured.steps["meco"])
    found = [
        Claim("meco is at the mean in fewer steps than nce", f"Gaussian, rate {r}", v)
        for r, v in zip(config.gaussian_rates, fewer, strict=True)
        if r <= config.judged
    ]
    start, end = curvatures(np.array([0.0, config.mean]), config)
    text = f"{start:.2g} at the start, {end:.2g} at the mean; the likelihood's is 1"
    said = "the curvature of nce at the mean is below that of the likelihood"
    found.append(exact(said, bool(end < 1), text, "Gaussian"))
    scores = chosen(measured, config)
    for other in ("nce", "importance"):
        found.append(better(_WHERE, scores, "meco", other, higher_is_better=False))
    above = scores["meco"].values - scores["exact"].values
    text = f"meco is at most {config.gap:g} nats above the exact gradient"
    return [*found, Claim(text, _WHERE, above, (-_INF, config.gap), unit=" nats")]


def chosen(measured: Measured, config: Config) -> dict[str, Score]:
    """The divergences of every method at the rate that it chose.

    Args:
      measured: the measurements.
      config: the size of the study.

    Returns:
      Scores by method.
    """
    return {
        name: score(values, config.rates, higher_is_better=False)
        for name, values in measured.divergences.items()
    }


def report(measured: Measured, config: Config) -> Report:
    """Numbers, tables and a figure; see ``Experiment.report``."""
    from experiments.studies.unnormalized import figures

    scores = chosen(measured, config)
    rows = [
        (f"{rate:g}", *(f"{np.median(s[i]):g}" for s in measured.steps.values()))
        for i, rate in enumerate(config.gaussian_rates)
    ]
    title = f"median steps to the Gaussian's mean; {config.limit}: or more"
    steps = Table(title, ("rate", *measured.steps), rows)
    nats = table({_WHERE: scores}, "divergence in nats")
    drawn = {"unnormalized": figures.panels(measured, scores, config)}
    return Report({"measured": measured}, [steps, nats], drawn)
