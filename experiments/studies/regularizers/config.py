"""The numbers of the study on regularizers."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("shade",)

PAPER = "Blot et al. 2018, arXiv:1804.10988"

PLAIN = "none"
STRENGTHS = {
    "SHADE": (1e-4, 1e-3, 1e-2),
    "weight decay": (0.01, 0.1, 1.0),
    "dropout": (0.1, 0.3, 0.5),
}
"""The grid of each regularizer: weight of the penalty, decay, share dropped."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study: digits and one hidden layer.

    Smaller than the paper's, CIFAR-10 and ImageNet with deep networks, for the
    processor time. The first half of the seeds chooses strengths, the second half gives
    the figures.

    Attributes:
      counts: labelled digits; those beyond the largest are the test.
      noise: standard deviation added to pixels between 0 and 1.
      width: hidden units.
      steps: of a run.
      batch: examples of a step.
      rate: learning rate of Adam.
    """

    counts: tuple[int, ...] = (50, 200, 800)
    noise: float = 0.3
    width: int = 64
    steps: int = 300
    batch: int = 32
    rate: float = 3e-3


SIZES = {
    QUICK: Config(seeds=4, counts=(20, 100), width=4, steps=10),
    STANDARD: Config(seeds=12),
}
