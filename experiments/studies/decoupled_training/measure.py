"""Accuracies of modules, and losses of recurrences."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from experiments.harness.store import Store
from experiments.studies.decoupled_training.config import Config
from experiments.studies.decoupled_training.modules import ARMS, accuracies
from experiments.studies.decoupled_training.windows import losses


class Measured(NamedTuple):
    """Everything that is measured.

    Attributes:
      accuracy: on test digits, by arm, ``(seeds,)``.
      gap: largest difference of a parameter between weight 0 and plain training.
      losses: of the recurrence by window, ``"truncated"`` and ``"synthetic"``; the
        whole length is full backpropagation.
    """

    accuracy: dict[str, np.ndarray]
    gap: float
    losses: dict[str, dict[str, np.ndarray]]


def measure(config: Config, store: Store) -> Measured:
    """Train all arms; see ``Experiment.measure``."""
    rows = store.group("runs")
    found = rows.measured("modules", lambda: accuracies(config))
    windows = {
        str(n): rows.measured(f"window {n}", lambda n=n: losses(config, n))
        for n in (*config.windows, config.length)
    }
    accuracy = {name: found[name] for name in ARMS}
    return Measured(accuracy, float(found["same"]), windows)
