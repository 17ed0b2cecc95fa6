"""The numbers of the study on wrong labels."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("nested_dropout", "co_teaching", "sam")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study: digits and dense layers.

    Smaller than the specification's, which has 6000 images of Fashion-MNIST too, for
    the processor time.

    Attributes:
      train: digits with labels, of which some are wrong.
      validation: likewise; they choose the number of features. The others are the test.
      wrong: share of wrong labels, of another class each, all as likely.
      width: hidden units, and features of the linear classifier.
      steps: of a run.
      last: steps at the end in which co-teaching goes on from two trained networks.
      batch: examples of a step.
      rate: learning rate of Adam.
      dropout: share of features that plain dropout takes out.
      rho: radius of SAM.
      scale: of the number of features that nested dropout keeps.
    """

    train: int = 1000
    validation: int = 200
    wrong: float = 0.4
    width: int = 64
    steps: int = 1000
    last: int = 300
    batch: int = 64
    rate: float = 1e-3
    dropout: float = 0.3
    rho: float = 0.05
    scale: float = 10.0


SIZES = {
    QUICK: Config(
        seeds=2, train=64, validation=32, width=8, steps=10, last=4, batch=16
    ),
    STANDARD: Config(seeds=6),
}
