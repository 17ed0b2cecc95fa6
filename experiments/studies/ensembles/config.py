"""The numbers of the study on ensembles."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("ensemble_cross_entropy",)

PAPER = "Abe et al. 2023, arXiv:2302.00704"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study: digits and one hidden layer.

    Smaller than the specification's, 4000 images of Fashion-MNIST, for the processor
    time.

    Attributes:
      members: of an ensemble, from different starts on the same batches.
      widths: hidden units, small and wide.
      gammas: weights of the diversity, the Jensen gap; 0 is among them.
      train: labelled digits; the others are the test.
      noise: standard deviation added to pixels between 0 and 1.
      steps: of a run.
      batch: examples of a step.
      rate: learning rate of Adam.
    """

    members: int = 4
    widths: tuple[int, int] = (8, 64)
    gammas: tuple[float, ...] = (-1.0, -0.5, 0.0, 0.5, 1.0)
    train: int = 600
    noise: float = 0.3
    steps: int = 400
    batch: int = 32
    rate: float = 5e-3


SIZES = {
    QUICK: Config(seeds=2, widths=(2, 4), gammas=(0.0, 1.0), train=64, steps=10),
    STANDARD: Config(seeds=6),
}
