"""The numbers of the study on searches of graph layers."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("conservative_explorer",)

PAPER = "Zhou et al. 2019, arXiv:1909.03184"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study, smaller than the paper's for the processor time.

    Without heads, without weights that are inherited, and with a distribution for each
    choice in place of recurrent encoders: see ``conservative_explorer``.

    Attributes:
      nodes: digits of a graph, other ones for each seed.
      neighbours: whose edges end in a node.
      labels: known ones of each class.
      valid: nodes whose labels score candidates.
      units: the largest width of a layer; the others are halves of it.
      budget: candidates of a search.
      steps: of a candidate, on all nodes.
      rate: of Adam.
      changed: choices of a child of the explorer that may differ from the best.
      learning_rate: of its distributions. Accuracies differ by a few hundredths: larger
        than the default for scores of the order of 1.
      population: of the evolution.
      tournament: of the evolution.
      again: other starts from which the best candidate is trained for the test.
    """

    nodes: int = 800
    neighbours: int = 8
    labels: int = 10
    valid: int = 300
    units: int = 32
    budget: int = 40
    steps: int = 60
    rate: float = 0.01
    changed: int = 2
    learning_rate: float = 5.0
    population: int = 10
    tournament: int = 3
    again: int = 3


SIZES = {
    QUICK: Config(
        seeds=2,
        nodes=80,
        neighbours=3,
        labels=2,
        valid=30,
        units=8,
        budget=4,
        steps=5,
        population=2,
        again=1,
    ),
    STANDARD: Config(seeds=8),
}
