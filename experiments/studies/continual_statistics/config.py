"""The numbers of the study on statistics in continual learning."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("adab2n", "replay")

PAPER = "Lyu et al. 2023, arXiv:2310.08855"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study; digits, smaller than the paper's networks and sets.

    Every arm chooses its learning rate on the first half of the seeds; verdicts are
    over the second half.

    Attributes:
      width: hidden units of both layers.
      tasks: one after the other, of two classes each.
      steps: of a task.
      batch: examples of the current task in a step.
      replayed: examples of the memory beside them.
      memory: places of the reservoir.
      kappa: of AdaB2N; in the paper's grid.
      penalty: weight of AdaB2N's penalty, from the second task on; in its grid.
      rates: learning rates of gradient descent.
    """

    width: int = 64
    tasks: int = 5
    steps: int = 25
    batch: int = 10
    replayed: int = 10
    memory: int = 100
    kappa: float = 0.4
    penalty: float = 0.1
    rates: tuple[float, ...] = (0.01, 0.03, 0.1)


SIZES = {
    QUICK: Config(seeds=2, width=8, steps=3, memory=10, rates=(0.1,)),
    STANDARD: Config(seeds=20),
}
