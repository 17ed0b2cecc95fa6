"""The claims about class-incremental learning, and their table."""

from __future__ import annotations

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies.class_incremental.config import (
    GHOST,
    NEW,
    POD,
    REPLAY,
    TASKS,
    Config,
)
from experiments.studies.class_incremental.measure import Measured, after_tasks

_PAIRS = (
    ("replay", "fine-tuning", REPLAY),
    ("podnet", "replay", POD),
    ("podnet", "proxies", POD),
    ("ghost", "podnet", GHOST),
)


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence; see ``ClaimedExperiment.claims``.

    Returns:
      The claims; those that compare arms are of the mean accuracy after the tasks.
    """
    means = {arm: after_tasks(a).mean(axis=1) for arm, a in measured.accuracy.items()}
    found = [
        Claim(
            f"{one} has a higher mean accuracy after the tasks than {other}",
            "digits, 5 tasks",
            means[one] - means[other],
            scale=100,
            unit=" %",
            paper=paper,
        )
        for one, other, paper in _PAIRS
    ]
    first = measured.accuracy["fine-tuning"][:, :, :NEW].mean(axis=2)
    return [
        *found,
        Claim(
            f"fine-tuning forgets more than {config.drop:.0%} of the first task",
            "digits, 5 tasks",
            first[:, 0] - first[:, -1],
            (config.drop, float("inf")),
            scale=100,
            unit=" %",
            paper=REPLAY,
        ),
    ]


def report(measured: Measured, config: Config) -> Report:
    """Numbers, a table and a figure; see ``Experiment.report``."""
    from experiments.studies.class_incremental import figures

    rows = []
    for arm, accuracy in measured.accuracy.items():
        after = after_tasks(accuracy)
        each = (f"{100 * x:.1f}" for x in after.mean(axis=0))
        rows.append((arm, *each, f"{100 * after.mean():.1f}"))
    tasks = (f"after {t + 1}" for t in range(TASKS))
    title = f"test accuracy in per cent, means over {config.seeds} seeds"
    table = Table(title, ("arm", *tasks, "mean"), rows)
    drawn = {"accuracy": figures.curves(measured)}
    return Report({"measured": measured}, [table], drawn)
