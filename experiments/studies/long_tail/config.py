"""The numbers of the study on long tails."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("mdcs", "batch_former")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study: digits and dense layers.

    Smaller than the specification's, Fashion-MNIST and a convolutional network, for the
    processor time.

    Attributes:
      most: examples of the most frequent class.
      least: of the rarest; between them the counts fall by one factor.
      tested: examples of every class in the test.
      noise: standard deviation added to pixels between 0 and 1; every step draws as
        much again on what it sees, and twice that on strong views.
      width: hidden units, and features of the classifier.
      heads: of BatchFormer.
      dropout: of BatchFormer.
      steps: of a run.
      batch: examples of a step.
      rate: learning rate of Adam.
      warmup: steps over which the distillation of MDCS rises.
      rarest: classes whose mean accuracy is reported beside that of all.
    """

    most: int = 100
    least: int = 3
    tested: int = 60
    noise: float = 0.2
    width: int = 64
    heads: int = 4
    dropout: float = 0.5
    steps: int = 800
    batch: int = 64
    rate: float = 1e-3
    warmup: float = 200.0
    rarest: int = 3

    def counts(self) -> list[int]:
        """The training examples of each class, the most frequent one first."""
        ratio = self.least / self.most
        return [round(self.most * ratio ** (c / 9)) for c in range(10)]


SIZES = {
    QUICK: Config(seeds=2, most=10, least=2, width=8, heads=2, steps=6, batch=16),
    STANDARD: Config(seeds=6),
}
