"""Effects of depth on transformers with norms and residual networks without."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from experiments.harness.store import Store
from experiments.studies.depth import residuals, transformers
from experiments.studies.depth.config import Config


class Measured(NamedTuple):
    """Everything that is measured.

    Attributes:
      transformers: of ``transformers.measure``, by arm.
      residuals: of ``residuals.measure``, by number of modules.
    """

    transformers: dict[str, dict[str, np.ndarray]]
    residuals: dict[int, dict[str, np.ndarray]]


def measure(config: Config, store: Store) -> Measured:
    """Train both kinds of networks; see ``Experiment.measure``."""
    return Measured(
        transformers.measure(config, store), residuals.measure(config, store)
    )
