"""The numbers of the study on searches of architectures from a grammar."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings
from jaxopt_lab.search import Grammar

PARTS = ("regularized_evolution",)

PAPER = "Ericsson et al. 2024, arXiv:2405.20838"

GRAMMAR = Grammar(
    units=(8, 16, 32),
    branches=(2, 4),
    patches=((1, 1, 0), (3, 1, 1), (3, 2, 1), (4, 4, 0)),
    max_depth=6,
    max_computations=12,
    max_elements=2**11,
)
"""The published one in small: fewer units and branches, windows that fit in 8 x 8, and
limits that keep compilations at about a second and networks below 50,000 parameters."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study, smaller than the paper's for the processor time.

    Attributes:
      budget: candidates of a search.
      population: of the evolution.
      tournament: of the evolution.
      valid: examples that score candidates.
      batch: examples of a step.
      steps: of a candidate, SGD with the paper's rate and momentum.
      rate: the learning rate.
      again: other starts from which the best candidate is trained for the test.
    """

    budget: int = 16
    population: int = 5
    tournament: int = 3
    valid: int = 400
    batch: int = 32
    steps: int = 150
    rate: float = 0.04
    again: int = 3


SIZES = {
    QUICK: Config(seeds=2, budget=3, population=2, batch=8, steps=3, again=1),
    STANDARD: Config(seeds=5),
}
