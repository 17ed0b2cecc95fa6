"""The numbers of the study on videos."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PAPER = "Chen et al. 2023, arXiv:2304.02633 (HNeRV)"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study; a seed is a clip and the start of its network.

    Smaller than the specification's (24 frames of 48 x 64, 60 000 numbers), for the
    processor time.

    Attributes:
      frames: of a clip; every second one is trained on.
      height: of a frame.
      width: of a frame.
      strides: of the encoder and of the decoders.
      budgets: most numbers that a reader needs.
      frequencies: of NeRV's encoding of the time, fewer than 80 for small budgets.
      steps: of training, on all trained frames at once.
      rate: largest learning rate of Adam: it rises for a tenth of the steps and falls
        along a cosine.
      weight_bits: of a stored weight.
      embedding_bits: of a stored embedding's number.
      loss: decibels that quantization may cost.
    """

    frames: int = 9
    height: int = 16
    width: int = 24
    strides: tuple[int, ...] = (2, 2, 2)
    budgets: tuple[int, ...] = (3000, 6000)
    frequencies: int = 16
    steps: int = 200
    rate: float = 5e-3
    weight_bits: int = 8
    embedding_bits: int = 6
    loss: float = 1.0


SIZES = {
    QUICK: Config(
        seeds=1, frames=5, height=8, width=16, budgets=(3000,), frequencies=4, steps=10
    ),
    STANDARD: Config(seeds=5),
}
