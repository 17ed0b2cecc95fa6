"""The numbers of the study on calibration."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = (
    "temperature_scaling",
    "vector_scaling",
    "h_calibration",
    "mixup",
    "mixup_ranking",
    "mixup_ndcg",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study: digits and dense layers.

    Smaller than the specification's, 5000 images of Fashion-MNIST and a convolutional
    network, for the processor time.

    Attributes:
      train: labelled digits.
      validation: digits on which calibrators are fitted; the others are the test.
      noise: standard deviation added to pixels between 0 and 1.
      width: of the two hidden layers.
      steps: of a run.
      batch: examples of a step.
      rate: learning rate of Adam.
      mixtures: of each example; mixup trains on the first.
      alpha: of mixup.
      weight: of the terms of RankMixup.
      bins: of the calibration errors.
    """

    train: int = 400
    validation: int = 200
    noise: float = 0.3
    width: int = 128
    steps: int = 1500
    batch: int = 64
    rate: float = 1e-3
    mixtures: int = 3
    alpha: float = 1.0
    weight: float = 0.1
    bins: int = 15


SIZES = {
    QUICK: Config(seeds=2, train=64, validation=40, width=16, steps=20),
    STANDARD: Config(seeds=6),
}
