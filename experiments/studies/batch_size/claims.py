"""The claims about the batch, and their tables."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies import scores
from experiments.studies.batch_size import config as papers
from experiments.studies.batch_size.config import Config
from experiments.studies.batch_size.ghosts import (
    ARMS,
    GHOST,
    LARGE,
    RATE,
    REGIME,
    SMALL,
)
from experiments.studies.batch_size.growth import GROWING
from experiments.studies.batch_size.measure import Measured
from experiments.studies.panels import dots

_POINT = (-0.01, float("inf"))


def chosen(measured: Measured, config: Config) -> dict[str, scores.Score]:
    """Growing and fixed batches at the rates that they chose."""
    return {
        arm: scores.score(found.T, config.rates)
        for arm, found in measured.accuracy.items()
    }


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence; see ``ClaimedExperiment.claims``."""
    by, half = chosen(measured, config), config.seeds // 2
    fixed = {
        arm: measured.accuracy[arm][:half].mean(axis=0).max()
        for arm in by
        if arm != GROWING
    }
    best, largest = max(fixed, key=lambda arm: fixed[arm]), f"fixed {config.max_batch}"
    steps = {
        arm: np.log(found[half:, config.rates.index(by[arm].rate)])
        for arm, found in measured.steps.items()
    }
    gap = scores.better("", by, GROWING, best).values
    percent = {"scale": 100, "unit": " %"}
    found = [
        Claim(
            f"accuracy at most a point below that of the best fixed batch, {best}",
            GROWING,
            gap,
        ),
        Claim(
            "fewer steps than the best fixed batch",
            GROWING,
            steps[best] - steps[GROWING],
        ),
        Claim(
            "fewer steps than with its first batch all along",
            GROWING,
            steps[f"fixed {config.micro_batch}"] - steps[GROWING],
        ),
        scores.better("", by, GROWING, largest)._replace(
            text="more accurate than with its largest batch all along",
            where=GROWING,
            **percent,
        ),
    ]
    found[0] = found[0]._replace(accepted=_POINT, **percent)
    found = [claim._replace(paper=papers.GROWING) for claim in found]
    arms = measured.ghosts
    pairs = (
        ("the large batch is less accurate than the small one", SMALL, LARGE),
        ("the larger rate closes a part of the gap", RATE, LARGE),
        ("ghost batches close a part of what is left", GHOST, RATE),
        (
            "as many steps as of the small batch close a part of what is left",
            REGIME,
            GHOST,
        ),
    )
    told = [Claim(text, LARGE, arms[a] - arms[b], **percent) for text, a, b in pairs]
    text = "with all three, accuracy at most a point below that of the small batch"
    told.append(Claim(text, LARGE, arms[REGIME] - arms[SMALL], _POINT, **percent))
    return found + [claim._replace(paper=papers.GHOST) for claim in told]


def report(measured: Measured, config: Config) -> Report:
    """Numbers, tables and a figure; see ``Experiment.report``."""
    by, half, rows = chosen(measured, config), config.seeds // 2, []
    for arm, found in by.items():
        place = config.rates.index(found.rate)
        steps, last = (
            f"{values[arm][half:, place].mean():.0f}"
            for values in (measured.steps, measured.last)
        )
        accuracy = f"{100 * found.values.mean():.1f}"
        rows.append((arm, scores.rate_text(found), steps, last, accuracy))
    title = f"{config.data}, {config.budget} examples seen; * edge of the grid of rates"
    headings = ("batch", "rate", "steps", "last batch", "test accuracy, %")
    text = [(arm, f"{100 * measured.ghosts[arm].mean():.1f}") for arm in ARMS]
    closed = Table(
        f"{config.data}, {config.epochs} epochs", ("arm", headings[-1]), text
    )
    label = "test accuracy, %"
    drawn = {
        "growing": dots(
            {"": {a: s.values for a, s in by.items()}}, label=label, scale=100
        ),
        "ghosts": dots({"": measured.ghosts}, label=label, scale=100),
    }
    tables = [Table(title, headings, rows), closed]
    return Report({"measured": measured}, tables, drawn)
