"""The numbers of the study on gradient noise."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("add_noise",)

PAPER = "Neelakantan et al. 2015, arXiv:1511.06807"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study; digits and fewer units than the paper's 50 on MNIST.

    Every arm chooses its learning rate on the first half of the seeds; verdicts are
    over the second half.

    Attributes:
      layers: of weights.
      width: hidden units.
      batch: examples of a step.
      steps: of a run.
      clip: largest norm of a gradient, before the noise; in all arms.
      gamma: decay of the noise, the paper's.
      etas: variances of the noise at the first step; the paper's.
      rates: learning rates of plain gradient descent.
    """

    layers: int = 20
    width: int = 24
    batch: int = 16
    steps: int = 400
    clip: float = 10.0
    gamma: float = 0.55
    etas: tuple[float, ...] = (0.01, 0.3, 1.0)
    rates: tuple[float, ...] = (0.01, 0.03, 0.1)


SIZES = {
    QUICK: Config(seeds=2, width=8, steps=5, etas=(0.3,), rates=(0.1,)),
    STANDARD: Config(seeds=12),
}
