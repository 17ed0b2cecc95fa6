"""The numbers of the study on the batch."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("norm_test", "ghost_batch_norm")

GROWING = "Lau et al. 2024, arXiv:2402.11215"
GHOST = "Hoffer et al. 2017, arXiv:1705.08741"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study; smaller than the papers' networks and sets.

    Arms with an own learning rate choose it on the first half of the seeds; their
    verdicts are over the second half. Ghost batches follow their paper: one rate, that
    of the small batch, and rules for the others.

    Attributes:
      data: ``"digits"``, or ``"fashion"``: Fashion-MNIST of 14 x 14 pixels.
      examples: of training.
      width: hidden units.
      micro_batch: examples of an accumulation step, and of the first growing batch.
      max_batch: the largest.
      fixed: fixed batches beside it.
      eta: of the norm test.
      budget: examples that a growing or fixed run sees.
      rates: learning rates of AdaGrad.
      small: the small batch, and a ghost batch.
      large: the large batch.
      epochs: of the small and the large batch.
      rate: of momentum 0.9 with the small batch; a tenth for the last third.
    """

    data: str = "digits"
    examples: int = 1024
    width: int = 32
    micro_batch: int = 8
    max_batch: int = 256
    fixed: tuple[int, ...] = (8, 32, 256)
    eta: float = 0.5
    budget: int = 6_000
    rates: tuple[float, ...] = (0.01, 0.03, 0.1)
    small: int = 32
    large: int = 256
    epochs: int = 15
    rate: float = 0.05


SIZES = {
    QUICK: Config(
        seeds=2,
        examples=128,
        width=8,
        max_batch=32,
        fixed=(8, 32),
        budget=200,
        rates=(0.1,),
        small=16,
        large=64,
        epochs=3,
    ),
    STANDARD: Config(seeds=12),
}
