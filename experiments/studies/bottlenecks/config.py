"""The numbers of the study on hourglass perceptrons."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("hourglass",)

PAPER = "Chen et al. 2025, arXiv:2510.01796, from the abstract"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study.

    Attributes:
      budgets: largest numbers of trained parameters.
      skips: skips of hourglass networks over the features.
      depths: numbers of blocks, of all networks.
      noise: deviation of the noise, of pixels in [0, 1].
      train: training images.
      validation: images on which the sizes and the rate are chosen.
      batch: images of a step.
      steps: of Adam.
      rates: learning rates.
    """

    budgets: tuple[int, ...] = (20_000, 60_000, 200_000)
    skips: tuple[int, ...] = (2, 6)
    depths: tuple[int, ...] = (2, 6)
    noise: float = 0.5
    train: int = 1000
    validation: int = 257
    batch: int = 64
    steps: int = 400
    rates: tuple[float, ...] = (1e-3, 3e-3)


SIZES = {
    QUICK: Config(
        seeds=2,
        budgets=(17_000,),
        skips=(2,),
        depths=(2,),
        train=256,
        validation=64,
        batch=32,
        steps=20,
        rates=(3e-3,),
    ),
    STANDARD: Config(seeds=6),
}
