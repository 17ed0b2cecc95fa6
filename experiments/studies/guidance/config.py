"""The numbers of the study on guidance."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("guidance",)

PAPER = "Subramaniam et al. 2024, arXiv:2410.20035"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study: digits and dense layers.

    Smaller than the specification's, 5000 images of Fashion-MNIST, for the processor
    time; the trained guide is a shallow perceptron, no convolutional network.

    Attributes:
      train: digits; the others are the test.
      noise: standard deviation added to pixels between 0 and 1.
      width: hidden units of the target.
      depth: its hidden layers; a third and two thirds of them are guided.
      guide_width: hidden units of the guides of two layers.
      channels: of the untrained convolutions.
      steps: of every run.
      batch: examples of a step.
      rate: learning rate of Adam.
      weight: of the guidance.
    """

    train: int = 600
    noise: float = 0.3
    width: int = 32
    depth: int = 12
    guide_width: int = 64
    channels: int = 4
    steps: int = 300
    batch: int = 64
    rate: float = 1e-3
    weight: float = 1.0


SIZES = {
    QUICK: Config(
        seeds=2, train=64, width=8, depth=3, guide_width=8, channels=2, steps=5, batch=8
    ),
    STANDARD: Config(seeds=6),
}
