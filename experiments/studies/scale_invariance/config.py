"""The numbers of the study on scale-invariant weights."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("sgdp", "adamp", "normalize_and_project")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study.

    Attributes:
      width: hidden units of the two normalized layers.
      batch: examples of a step.
      steps: of a run.
      sgd_rate: learning rate of momentum, and of SGDP.
      adam_rate: that of Adam, AdamP and Adam with held norms.
      every: steps between two records of norms and steps.
    """

    width: int = 64
    batch: int = 64
    steps: int = 1000
    sgd_rate: float = 0.1
    adam_rate: float = 1e-2
    every: int = 20


SIZES = {
    QUICK: Config(seeds=2, width=16, steps=60, every=10),
    STANDARD: Config(seeds=10),
}
