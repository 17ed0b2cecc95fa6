"""The numbers of the study on merging."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("t3",)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study.

    Attributes:
      hidden: units of the hidden layer.
      batch: images of a step.
      steps: of Adam, on upright digits.
      tuning: of each fine-tuning.
      rate: learning rate of all.
      noise: deviation of the noise of the second task of fine-tuning.
      gamma: steepness of the centred T3, whose coefficient is from 0 to 1.
      temperature: of CoDiEmb's fusion.
    """

    hidden: int = 64
    batch: int = 64
    steps: int = 400
    tuning: int = 60
    rate: float = 3e-3
    noise: float = 0.5
    gamma: float = 20.0
    temperature: float = 0.1


SIZES = {
    QUICK: Config(seeds=2, hidden=8, batch=8, steps=20, tuning=5),
    STANDARD: Config(seeds=8),
}
