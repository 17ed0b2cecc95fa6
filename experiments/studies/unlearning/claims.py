"""The claims about unlearning, and their table."""

from __future__ import annotations

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies.scores import Panels, better, score, table
from experiments.studies.unlearning.config import Config
from experiments.studies.unlearning.measure import METHODS, PLACES, Measured

_PAIRS = (
    ("forget", "oracle matching", "fine-tuning"),
    ("forget", "oracle matching", "none"),
    ("forget", "dm-direct", "fine-tuning"),
    ("retain", "oracle matching", "fine-tuning"),
    ("test", "oracle matching", "fine-tuning"),
)


def panels(measured: Measured, config: Config) -> Panels:
    """Scores by method, by place, at the rate that is best on the forget sets.

    Args:
      measured: the measurements.
      config: the size of the study.

    Returns:
      The scores of the second half of the sets.
    """
    found: dict[str, dict] = {place: {} for place in PLACES}
    for name in METHODS:
        rates = config.rates
        values = measured.klom["forget"][name]
        if len(values) == 1:
            rates = (0.0,)
        at = rates.index(score(values, rates, higher_is_better=False).rate)
        for place in PLACES:
            one = measured.klom[place][name][at : at + 1]
            own = score(one, rates[at : at + 1], higher_is_better=False)
            edge = len(rates) > 1 and at in (0, len(rates) - 1)
            found[place][name] = own._replace(at_the_edge=edge)
    return found


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence; see ``ClaimedExperiment.claims``.

    Returns:
      The claims: differences of the mean divergence, set by set.
    """
    scores = panels(measured, config)
    return [
        better(where, scores[where], one, other, higher_is_better=False)
        for where, one, other in _PAIRS
    ]


def report(measured: Measured, config: Config) -> Report:
    """Numbers, tables and a figure; see ``Experiment.report``."""
    from experiments.studies.unlearning import figures

    scores = panels(measured, config)
    edge = "*" if measured.ridge in (config.ridges[0], config.ridges[-1]) else ""
    rows = [(f"{measured.ridge:g}{edge}", f"{measured.fit:.3f}")]
    fit = Table("the datamodel", ("ridge", "share of held-out variance"), rows)
    drawn = {"klom": figures.bars(scores)}
    tables = [fit, table(scores, "KLoM in nats")]
    return Report({"measured": measured}, tables, drawn)
