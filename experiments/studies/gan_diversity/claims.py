"""The claims about several discriminators, and their table."""

from __future__ import annotations

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies.gan_diversity.config import DROPOUT, MICROBATCH, Config
from experiments.studies.gan_diversity.measure import (
    PLAIN,
    Family,
    Measured,
    families,
)


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence, set by set; see ``ClaimedExperiment.claims``."""
    named = lambda split, x: Family(config.count, split, (x,)).names()[0]
    (plain,) = PLAIN.names()
    dropped, told = named(False, config.dropped), named(True, config.told)
    pairs = [
        (dropped, plain, DROPOUT),
        (dropped, named(False, 0.0), DROPOUT),
        (told, plain, MICROBATCH),
        (told, named(True, 0.0), MICROBATCH),
    ]
    found = []
    for place, modes in measured.modes.items():
        near = {arm: x.mean() for arm, x in measured.quality.get(place, {}).items()}
        for one, other, paper in pairs:
            note = f"near a mode {near[one]:.0%} and {near[other]:.0%}" if near else ""
            found.append(
                Claim(
                    f"{one} covers more modes than {other}",
                    place,
                    modes[one] - modes[other],
                    evidence=note,
                    unit=" modes",
                    paper=paper,
                )
            )
    return found


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure; see ``Experiment.report``."""
    from experiments.studies.gan_diversity import figures

    names = [name for family in families(config) for name in family.names()]
    rows = [
        (
            name,
            *(f"{modes[name].mean():.1f}" for modes in measured.modes.values()),
            *(f"{share[name].mean():.2f}" for share in measured.quality.values()),
        )
        for name in names
    ]
    heads = [f"modes, {place}" for place in measured.modes]
    heads += [f"near a mode, {place}" for place in measured.quality]
    title = f"{config.steps} steps, means over {config.seeds} seeds"
    table = Table(title, ("arm", *heads), rows)
    return Report(
        {"measured": measured}, [table], {"modes": figures.bars(measured, config)}
    )
