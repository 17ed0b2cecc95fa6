"""The numbers of the study on compression."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("ordered_low_rank", "sortednet", "mixture_of_experts")

MAESTRO = "Horvath et al. 2024, arXiv:2308.14929"
SORTEDNET = "Valipour et al. 2023, arXiv:2309.00255"
MCSMOE = "Li et al. 2023, arXiv:2310.01334"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study: perceptrons on the digits, for the processor time.

    All networks have about as many weights in 32 bits, without biases: the dense one
    has two hidden layers, the mixture is one layer of experts on a residual branch. At
    each budget a method has the largest width or rank that fits. No method is trained
    after the cut; merged experts are distilled before their kernels are taken apart,
    and so are the most used experts that stand for pruning.

    Attributes:
      width: units of both hidden layers.
      experts: of the mixture.
      hidden: units of an expert.
      budgets: shares of the bytes of the dense network.
      groups: merged experts at each budget.
      keep: share of the rows that stay beside the product of low rank.
      steps: of the training.
      batch: examples of a step.
      rate: of Adam.
      lasso: strength of Maestro's proximal step, a weight of 0.03 times the rate.
      tuning: steps of the distillation of merged experts.
      temperature: of the distillation.
      weight: of the distillation beside the cross-entropy.
      least: share of the accuracy of a network trained by itself that SortedNet's
        should have.
    """

    width: int = 128
    experts: int = 8
    hidden: int = 24
    budgets: tuple[float, ...] = (0.5, 0.25, 0.125, 0.0625)
    groups: tuple[int, ...] = (4, 2, 1, 1)
    keep: float = 0.0625
    steps: int = 600
    batch: int = 64
    rate: float = 3e-3
    lasso: float = 1e-4
    tuning: int = 150
    temperature: float = 2.0
    weight: float = 0.2
    least: float = 0.96


SIZES = {
    QUICK: Config(
        seeds=2,
        width=32,
        experts=4,
        hidden=8,
        budgets=(0.6, 0.4),
        groups=(2, 1),
        steps=10,
        batch=8,
        tuning=4,
    ),
    STANDARD: Config(seeds=8),
}
