"""The claims about network-to-network compression, their tables and figures."""

from __future__ import annotations

import numpy as np

from experiments.harness.report import Report, Table
from experiments.harness.verdicts import Claim
from experiments.studies.network_compression.config import Config
from experiments.studies.network_compression.measure import (
    FRESH,
    POLICY,
    RANDOM,
    SEARCHES,
    STAGES,
    TEACHER,
    TRANSFERRED,
    Measured,
)
from experiments.studies.panels import arms_table, lines

_INF = float("inf")


def claims(measured: Measured, config: Config) -> list[Claim]:
    """The claims with their evidence; see ``ClaimedExperiment.claims``."""
    count = config.last * config.rollouts
    apart = measured.accuracy[POLICY] - measured.accuracy[TEACHER]
    found = [
        Claim(
            "the best student has at least five times fewer parameters",
            POLICY,
            measured.ratio[POLICY],
            (5.0, _INF),
        ),
        Claim(
            "the best student is within two points of the teacher on the test",
            POLICY,
            apart,
            (-0.02, _INF),
            scale=100,
            unit=" %",
        ),
    ]
    for stage in STAGES:
        late = {n: r[:, -count:].mean(1) for n, r in measured.reward[stage].items()}
        text = "larger rewards in the last epochs than at random"
        found.append(Claim(text, stage, late[POLICY] - late[RANDOM]))
    gain = measured.best[POLICY] - measured.best[RANDOM]
    found.append(Claim("a larger best reward than at random", POLICY, gain))
    area = {name: r.mean(1) for name, r in measured.transfer.items()}
    text = "a policy of one teacher has larger rewards for another than a fresh one"
    return [*found, Claim(text, "removal", area[TRANSFERRED] - area[FRESH])]


def report(measured: Measured, config: Config) -> Report:
    """Numbers, tables and figures; see ``Experiment.report``."""
    columns = {
        "teacher's parameters over its own": dict(measured.ratio),
        "test, %": {n: 100 * a for n, a in measured.accuracy.items()},
        "best reward": dict(measured.best),
    }
    title = (
        f"{config.epochs * config.rollouts} students of {config.steps} steps a stage, "
        f"{config.seeds} seeds; compilations of the training: {measured.compilations}"
    )
    tables = [
        arms_table(title, columns, "network"),
        Table(
            "the best students of all seeds",
            ("search", "layers"),
            [(name, measured.table[name]) for name in SEARCHES],
        ),
    ]

    def by_epoch(rewards: np.ndarray) -> np.ndarray:
        return rewards.reshape(len(rewards), config.epochs, -1).mean(2).T

    epochs = 1 + np.arange(config.epochs)
    labels = ("epochs", "mean reward")
    stages = {
        stage: {name: by_epoch(r) for name, r in arms.items()}
        for stage, arms in measured.reward.items()
    }
    other = {"": {name: by_epoch(r) for name, r in measured.transfer.items()}}
    drawn = {
        "rewards": lines(stages, epochs, labels),
        "transfer": lines(other, epochs, labels),
    }
    return Report({"measured": measured}, tables, drawn)
