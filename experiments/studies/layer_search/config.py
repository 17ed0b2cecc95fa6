"""The numbers of the study on the search of layers."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("regularized_evolution",)

PAPER = "Liu et al. 2020, arXiv:2004.02967"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study; smaller than the paper's, for the processor time.

    One convolution instead of several networks, six nodes instead of ten, and the
    rejection by accuracy alone: that by the largest gradient norm is left out.

    Attributes:
      nodes: of a genome.
      channels: of the convolution.
      groups: of the channels.
      budget: candidates of a search.
      population: of the evolution.
      tournament: of the evolution.
      batch: examples of a step.
      first: steps after which a candidate is rejected below ``least``.
      rest: steps of the others behind them.
      least: validation accuracy.
      rate: learning rate of momentum 0.9.
      again: other starts from which the best layer is trained for the test.
    """

    nodes: int = 6
    channels: int = 8
    groups: int = 2
    budget: int = 60
    population: int = 20
    tournament: int = 5
    batch: int = 32
    first: int = 20
    rest: int = 40
    least: float = 0.2
    rate: float = 0.05
    again: int = 3


SIZES = {
    QUICK: Config(seeds=1, channels=2, budget=8, population=4, batch=8, again=1),
    STANDARD: Config(seeds=8),
}
