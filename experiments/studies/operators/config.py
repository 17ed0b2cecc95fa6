"""The numbers of the study on neural operators."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("mgno",)
PAPER = "He et al. 2023, arXiv:2310.19809"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study.

    Smaller than the specification's grids of 32 points, 256 pairs and four levels, for
    the processor time; zero values at the border only; one learning rate for all.

    Attributes:
      points: of a side, within a border of zeros.
      train: training pairs.
      tests: test pairs.
      width: channels of the multigrid operator and of the spectral one.
      depth: layers of both.
      levels: of the multigrid cycles.
      layers: convolutions of the convolutional network.
      batch: pairs of a step.
      steps: of Adam.
      rate: its learning rate.
    """

    points: int = 15
    train: int = 128
    tests: int = 64
    width: int = 8
    depth: int = 2
    levels: int = 3
    layers: int = 5
    batch: int = 8
    steps: int = 150
    rate: float = 3e-3


SIZES = {
    QUICK: Config(
        seeds=2, points=7, train=8, tests=4, width=2, depth=1, levels=2, steps=3
    ),
    STANDARD: Config(seeds=5),
}
