"""The claims about mixers, and their table."""

from __future__ import annotations

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies.mixers.config import Config
from experiments.studies.mixers.measure import Measured

HYDRA = "quasiseparable"
WORDS = {
    "forward": "a scan in one direction",
    "sum": "the sum of two scans without a free diagonal",
    "toeplitz": "a Toeplitz matrix",
    "attention": "attention",
}


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence; see ``ClaimedExperiment.claims``."""
    del config
    losses = measured.losses
    return [
        Claim(
            f"the loss is below that of {WORDS[arm]}",
            "Hydra",
            values - losses[HYDRA],
            unit=" nats",
        )
        for arm, values in losses.items()
        if arm != HYDRA
    ]


def report(measured: Measured, config: Config) -> Report:
    """Numbers and a table; see ``Experiment.report``."""
    rows = [
        (
            arm,
            str(measured.sizes[arm]),
            f"{values.mean():.4f}",
            f"{(values - measured.losses[HYDRA]).mean():+.4f}",
        )
        for arm, values in measured.losses.items()
    ]
    table = Table(
        f"Masked tokens of a Markov chain, {config.steps} steps, means over "
        f"{config.seeds} seeds",
        ("mixer", "parameters", "loss in nats", "over Hydra"),
        rows,
    )
    return Report({"measured": measured}, [table])
