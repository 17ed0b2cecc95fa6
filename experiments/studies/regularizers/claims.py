"""The claims about regularizers, and their table."""

from __future__ import annotations

from experiments.harness.report import Report
from experiments.harness.verdicts import Claim
from experiments.studies import panels, scores
from experiments.studies.regularizers.config import PLAIN, STRENGTHS, Config
from experiments.studies.regularizers.measure import Measured
from experiments.studies.scores import Score

_PAPERS = {"weight decay": "Loshchilov and Hutter 2019, arXiv:1711.05101"}
_PAPERS["dropout"] = "Srivastava et al. 2014"
_PERCENT = {"scale": 100, "unit": " %"}


def scored(measured: Measured, config: Config) -> list[dict[str, Score]]:
    """Every regularizer at the strength that it chose.

    Args:
      measured: the measurements.
      config: the size of the study.

    Returns:
      Scores by name, for each number of labels.
    """
    return [
        {
            name: scores.score(values[:, i], STRENGTHS.get(name, (0.0,)))
            for name, values in measured.accuracy.items()
        }
        for i in range(len(config.counts))
    ]


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence, seed by seed.

    See ``ClaimedExperiment.claims``.
    """
    found, gains = [], []
    for count, by_name in zip(config.counts, scored(measured, config), strict=True):
        where = f"{count} labels"
        for name in STRENGTHS:
            claim = scores.better(where, by_name, name, PLAIN)
            claim = claim._replace(paper=_PAPERS.get(name, ""), **_PERCENT)
            found.append(claim)
            if name == "SHADE":
                gains.append(claim.values)
            else:
                claim = scores.better(where, by_name, "SHADE", name)
                found.append(claim._replace(**_PERCENT))
    text = "SHADE gains more with the fewest labels than with the most"
    return [*found, Claim(text, "", gains[0] - gains[-1], **_PERCENT)]


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure; see ``Experiment.report``."""
    every = scored(measured, config)
    by_count = {f"{n} labels": s for n, s in zip(config.counts, every, strict=True)}
    table = scores.table(by_count, "test accuracy, %", 100)
    drawn = panels.dots(
        {
            f"{where}: test accuracy": {name: s.values for name, s in by_name.items()}
            for where, by_name in by_count.items()
        }
    )
    record = {"measured": measured, "scores": by_count}
    return Report(record, [table], {"accuracy": drawn})
