"""The numbers of the study on noisy hardware."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("sam", "asam", "samson", "weight_noise")

SAMSON = "Mordido et al. 2022, arXiv:2211.11561"
MEMSE = "Kern et al., MemSE, IEEE AICAS 2022"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study, smaller than the papers' for the processor time.

    Of the seeds the first half chooses the radius, the second gives the figures.

    Attributes:
      width: units of the two hidden layers.
      batch: examples of a step.
      steps: of a run.
      rate: learning rate, momentum 0.9.
      factors: on every method's own default radius, of which one is chosen.
      sigmas: noise over the largest weight of a matrix.
      draws: of the noise.
      device_noise: of MemSE, sigma over the largest conductance.
      examples: of the test, for MemSE and its simulation.
    """

    width: int = 32
    batch: int = 64
    steps: int = 400
    rate: float = 0.1
    factors: tuple[float, ...] = (0.3, 1.0, 3.0)
    sigmas: tuple[float, ...] = (0.0, 0.05, 0.1, 0.2)
    draws: int = 20
    device_noise: float = 0.01
    examples: int = 50


SIZES = {
    QUICK: Config(
        seeds=2,
        width=4,
        steps=4,
        factors=(1.0,),
        sigmas=(0.0, 0.1),
        draws=2,
        examples=3,
    ),
    STANDARD: Config(seeds=10),
}
