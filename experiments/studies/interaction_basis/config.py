"""The numbers of the study on interaction bases."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("interaction_basis",)
PAPER = "Bushnaq et al. 2024, arXiv:2405.10928"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study.

    The specification's recovery of planted modules is left out: activations of both
    modules that read the same digits are correlated, and bases join them.

    Attributes:
      hidden: units of the hidden layers.
      steps: of Adam.
      batch: images of a step.
      rate: learning rate.
      images: test images over which bases and interactions are means.
      points: of the integrals of the interactions.
      share: of the strength that the strongest interactions must hold.
      threshold: of the activations' Gram matrices, relative. Small, since no gap parts
        the eigenvalues of a trained network.
      stretch: largest logarithm of the factors on the directions of other coordinates.
    """

    hidden: tuple[int, ...] = (32, 32)
    steps: int = 500
    batch: int = 64
    rate: float = 3e-3
    images: int = 300
    points: int = 8
    share: float = 0.95
    threshold: float = 1e-10
    stretch: float = 1.0


SIZES = {
    QUICK: Config(seeds=2, hidden=(8, 8), steps=30, images=20, points=2),
    STANDARD: Config(seeds=6),
}
