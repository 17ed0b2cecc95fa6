"""The numbers of the study on weights by losses."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("reweighted_cross_entropy",)

PAPER = "Sow et al. 2025, arXiv:2502.06733"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study; digits, smaller than the paper's language models.

    Every strategy chooses its learning rate on the first half of the seeds; verdicts
    are over the second half.

    Attributes:
      width: hidden units.
      pool: training examples, copies counted.
      originals: distinct examples that the second half of the pool repeats.
      wrong: part of wrong labels where labels are noisy.
      batch: examples of a step.
      steps: of a run.
      first: steps without weights.
      r: evenness of the weights, the code's.
      rates: learning rates of momentum 0.9.
    """

    width: int = 32
    pool: int = 400
    originals: int = 20
    wrong: float = 0.2
    batch: int = 32
    steps: int = 300
    first: int = 30
    r: float = 0.4
    rates: tuple[float, ...] = (0.01, 0.03, 0.1)


SIZES = {
    QUICK: Config(seeds=4, width=8, pool=80, steps=20, first=2, rates=(0.03, 0.1)),
    STANDARD: Config(seeds=20),
}
