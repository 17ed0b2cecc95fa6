"""The claims about decoupled training, and their tables."""

from __future__ import annotations

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim, exact
from experiments.studies.decoupled_training.config import Config
from experiments.studies.decoupled_training.measure import Measured
from experiments.studies.decoupled_training.windows import SYNTHETIC, TRUNCATED

_DIGITS = "digits, four modules"
_INF = float("inf")


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence; see ``ClaimedExperiment.claims``."""
    of, free = measured.accuracy, "unlocked, with labels"
    above = lambda text, other, least=0.0: Claim(
        text, _DIGITS, of[free] - of[other], (least, _INF), scale=100, unit=" %"
    )
    found = [
        exact(
            "weight 0 is plain training to the bit",
            measured.gap == 0,
            f"largest difference of a parameter {measured.gap:.1g}",
            _DIGITS,
        ),
        above(f"{free}: more accurate than the last module alone", "last module alone"),
        above(f"{free}: more accurate than without labels", "unlocked"),
        above(
            f"{free}: loses at most {config.slack:.0%} to exact gradients",
            "exact",
            -config.slack,
        ),
    ]
    for n in config.windows:
        each = measured.losses[str(n)]
        text = "the loss with synthetic gradients is below half of the truncated one"
        where = f"symbol over {config.length} steps, windows of {n}"
        found.append(Claim(text, where, each[TRUNCATED] / 2 - each[SYNTHETIC]))
    return found


def report(measured: Measured, config: Config) -> Report:
    """Numbers, tables and a figure; see ``Experiment.report``."""
    from experiments.studies.decoupled_training import figures

    rows = [(n, f"{100 * x.mean():.1f} %") for n, x in measured.accuracy.items()]
    title = f"test accuracy on digits, means over {config.seeds} seeds"
    tables = [Table(title, ("arm", "accuracy"), rows)]
    rows = [
        (n, *(f"{x.mean():.3f}" for x in each.values()))
        for n, each in measured.losses.items()
    ]
    title = f"loss of the symbol after {config.length} steps"
    tables.append(Table(title, ("window", TRUNCATED, SYNTHETIC), rows))
    drawn = {"decoupled": figures.panels(measured, config)}
    return Report({"measured": measured}, tables, drawn)
