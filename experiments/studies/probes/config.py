"""The numbers of the study on probes."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("naive_bayes",)

PAPER = (
    "Zheng et al. 2023, Revisiting discriminative vs. generative classifiers: Theory "
    "and implications"
)

EPS = {"naive Bayes": 1e-9, "naive Bayes, eps 0.01": 1e-2}
"""What is added to the variances, by arm."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study: digits, and dense layers instead of convolutions.

    Smaller than the specification's, which has Fashion-MNIST and up to 5000 labels,
    for the processor time.

    Attributes:
      counts: labelled examples; the last is the size at which n95 has its accuracy.
      width: features of the network.
      steps: of its training, on the classes 0 to 4.
      batch: examples of a step.
      rate: learning rate of Adam.
      strength: C of the logistic regression, one over its L2 penalty.
    """

    counts: tuple[int, ...] = (10, 20, 50, 100, 200, 500, 1000)
    width: int = 64
    steps: int = 300
    batch: int = 64
    rate: float = 3e-3
    strength: float = 1.0


SIZES = {
    QUICK: Config(seeds=2, counts=(10, 100), width=8, steps=20),
    STANDARD: Config(seeds=10),
}
