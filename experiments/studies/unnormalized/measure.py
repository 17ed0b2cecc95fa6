"""Steps to a Gaussian's mean, and divergences of binary models."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from experiments.harness.store import Store
from experiments.studies.unnormalized.binary import divergences
from experiments.studies.unnormalized.config import Config
from experiments.studies.unnormalized.gaussian import arrivals, curvatures


class Measured(NamedTuple):
    """Everything that is measured.

    Attributes:
      steps: to the Gaussian's mean, by method, ``(rates, seeds)``.
      thetas: means of the model.
      curvatures: of noise contrast there.
      divergences: of the binary models, by method, ``(rates, seeds)``.
    """

    steps: dict[str, np.ndarray]
    thetas: np.ndarray
    curvatures: np.ndarray
    divergences: dict[str, np.ndarray]


def measure(config: Config, store: Store) -> Measured:
    """Train both kinds of models with every method; see ``Experiment.measure``."""
    rows = store.group("runs")
    thetas = np.linspace(-2.0, config.mean + 4, 61)
    return Measured(
        rows.measured("gaussian", lambda: arrivals(config)),
        thetas,
        curvatures(thetas, config),
        rows.measured("binary", lambda: divergences(config)),
    )
